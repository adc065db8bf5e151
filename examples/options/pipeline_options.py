"""The month's takings of a bookshop: each option of @step stands here once, where it is of use."""

import subprocess
from csv import reader
from datetime import date
from pathlib import Path

from stepcache import File, pipeline, step

HERE = Path(__file__).parent


# reads: what stepcache cannot see being read. Here a shell finds the files, and another program reads them.
@step(reads=["data/sales-*.csv"])
def lines():
    done = subprocess.run("sort sales-*.csv", shell=True, cwd=HERE / "data", check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


# codec: how the value is stored. "plain" takes numbers, texts, lists and dicts, and refuses what would be pickled.
@step(codec="plain")
def sales(lines):
    return [{"title": title, "price": float(price)} for title, price in reader(lines)]


# outputs: two values, each asked for, and compared, by its own name.
@step(outputs=("sold", "returned"))
def by_sign(sales):
    return [row for row in sales if row["price"] > 0], [row for row in sales if row["price"] < 0]


@step
def taken(sold):
    total: dict[str, float] = {}
    for row in sold:
        total[row["title"]] = round(total.get(row["title"], 0) + row["price"], 2)
    return total


# name and takes: the same function once more, under another name, over another value.
given_back = step(taken, name="given_back", takes={"sold": "returned"})


# version: what the result depends on and no file tells. To give another text runs the step again.
# ignore: a setting that makes no difference to the value.
@step(version="taxes of 2025", ignore=["verbose"])
def taxed(taken, rate=0.07, verbose=False):
    found = {title: round(total * (1 + rate), 2) for title, total in taken.items()}
    if verbose:
        print(found)
    return found


# expires: older than that, and it is made anew. Here it would ask a server; the file stands for the answer.
# retries, timeout: a server may fail or hang. slots: and is asked by one node at a time, also under -n.
@step(expires="12h", retries=2, timeout="1m", slots={"server": 1})
def dollars(path=File("data/dollars.txt")):
    return float(path.read_text(encoding="utf-8"))


# save_to: the value is written to a file too, and put back when the file is gone.
@step(save_to="out/table.csv")
def table(taxed, given_back, dollars):
    rows = [("title", "taken", "given back", "in dollars")]
    for title, total in sorted(taxed.items()):
        rows.append((title, total, given_back.get(title, 0.0), round(total * dollars, 2)))
    return rows


# enable_cache=False: runs each time, and nothing of it is kept.
@step(enable_cache=False)
def today():
    return date.today().isoformat()


@pipeline
def report(table, today):
    return f"{len(table) - 1} titles, as of {today}"
