"""A sweep: trees of several depths, grown on one half of the points, and the best of them on the other half."""

import math
import random
from statistics import fmean

from stepcache import All, parametrize, pipeline, step


@step
def points(count=600, noise=0.3, seed=0):
    draw = random.Random(seed)
    xs = [draw.uniform(0, 2 * math.pi) for _ in range(count)]
    return [(x, math.sin(2 * x) + draw.gauss(0, noise)) for x in xs]


@step(outputs=("train", "test"))
def halves(points):
    return points[::2], points[1::2]


@step
@parametrize("leaf", [2, 20])  # the fewest points of a leaf
@parametrize("depth", [1, 3, 5])
def model(train, depth, leaf):
    return grow(sorted(train), depth, leaf)


@step
def error(model, test):  # one for each model
    return fmean((y - predicted(model, x)) ** 2 for x, y in test)


@step
def ranking(error: All):  # all of them, by the models' ids
    return sorted((value, variant) for variant, value in error.items())


def check_the_best_is_better_than_the_mean(ranking, test):
    middle = fmean(y for _, y in test)
    assert ranking[0][0] < fmean((y - middle) ** 2 for _, y in test)


@pipeline
def sweep(ranking):
    return "\n".join(f"{variant:>6}  {value:.4f}" for value, variant in ranking)


def grow(points, depth, leaf):
    """The tree over sorted points: a number, or where it parts and the trees to both sides."""
    if depth == 0 or len(points) < 2 * leaf:
        return fmean(y for _, y in points)
    cut = min(range(leaf, len(points) - leaf + 1), key=lambda at: spread(points[:at]) + spread(points[at:]))
    return points[cut][0], grow(points[:cut], depth - 1, leaf), grow(points[cut:], depth - 1, leaf)


def spread(points):
    ys = [y for _, y in points]
    return sum(y * y for y in ys) - sum(ys) ** 2 / len(ys)


def predicted(tree, x):
    while isinstance(tree, (tuple, list)):
        tree = tree[1] if x < tree[0] else tree[2]
    return tree
