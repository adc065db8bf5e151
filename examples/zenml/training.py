"""Steps that the pipelines beside this file share. Importing a step brings along the steps that it needs."""

from stepcache import step


@step
def measurements():
    """Points near the line y = 2x + 1."""
    return [(x / 10, 2 * x / 10 + 1 + (-1) ** x / 20) for x in range(50)]


@step
def line(measurements, rate=0.01):
    """Slope and intercept, by gradient descent."""
    slope = intercept = 0.0
    for _ in range(2000):
        errors = [(slope * x + intercept - y, x) for x, y in measurements]
        slope -= rate * sum(error * x for error, x in errors) / len(errors)
        intercept -= rate * sum(error for error, _ in errors) / len(errors)
    return round(slope, 3), round(intercept, 3)
