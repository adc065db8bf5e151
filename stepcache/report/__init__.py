"""What happened, for people and for programs.

Nothing here decides or stores: it takes frozen data and writes lines. Read in this order: terminal (a run as it
happens), progress, summary, closing (its three parts), statusline (what runs now), why and lists (explanations and
tables), traceback (how a failure is shown), jsonreport, junitxml (for programs), picture, drawing, graphfile (the
graph as a file), figures and writer (numbers and the terminal).
"""
