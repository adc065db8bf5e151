"""Run as a script: prints, for each project folder named in a JSON list on stdin, what its step reaches.

Each folder is read in a forked child of its own, as a process that imports its pipeline file would see it.
"""

import json
import os
import sys
import traceback
from pathlib import Path


def seen(folder, options):
    from importlib import import_module

    from stepcache.key.modules import Modules
    from stepcache.key.reach import CodeReader

    os.chdir(folder)
    sys.path += [folder, *(os.path.join(folder, entry) for entry in options.get("path", ()))]
    home = import_module(options.get("home", "pipeline_x"))
    for name in options.get("also_load", ()):
        import_module(name)
    reader = CodeReader(Modules(Path(folder)))
    if options.get("cls"):
        reach = reader.reach_class(options["cls"])
    else:
        step = getattr(home, options.get("step", "transform"))
        roots = [getattr(getattr(step, "definition", None), "function", step)]
        settings = options.get("settings", {})
        settings |= {name: getattr(home, value) for name, value in options.get("setting_names", {}).items()}
        reach = reader.reach(roots, settings=settings, home=home)
    return {
        "digest": reach.digest,
        "variables": [[o.name, o.digest, o.label] for o in reach.variables],
        "ingredients": {i.name: i.digest for i in reach.ingredients},
        "packages": [i.name for i in reach.ingredients if i.kind == "package"],
        "literals": [list(pair) for pair in reach.literals],
        "names": sorted(reach.names),
        "modules": list(reach.modules),
        "uncertain": list(reach.uncertain),
    }


def main():
    results = []
    for folder, options in json.load(sys.stdin):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            try:
                answer = seen(folder, options)
            except BaseException:  # noqa: BLE001  the parent shows it
                answer = {"error": traceback.format_exc()}
            with os.fdopen(writing, "w") as file:
                json.dump(answer, file)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            results.append(json.load(file))
        os.waitpid(child, 0)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    import stepcache.api
    import stepcache.key.reach  # noqa: F401  once, before the children fork

    main()
