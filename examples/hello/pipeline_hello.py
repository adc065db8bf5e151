"""Three steps, a check and a pipeline."""

from collections import Counter

from stepcache import File, pipeline, step


@step
def verse(path=File("verse.txt")):
    return path.read_text(encoding="utf-8")


@step
def words(verse):
    return [word.strip(".,;").lower() for word in verse.split()]


@step
def counts(words, shortest=4):
    return Counter(word for word in words if len(word) >= shortest).most_common()


def check_nothing_is_counted_twice(words, counts):
    assert sum(count for _, count in counts) <= len(words)


@pipeline
def hello(counts):
    return ", ".join(f"{word} {count}" for word, count in counts[:3])
