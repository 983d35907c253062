"""The right name for a misspelt one, by the rules of `crates/model/src/nearest.rs`."""


def nearest(word, *groups):
    """The name that `word` most likely means; `None` where none is near enough, or where `word` is one of the names.

    The nearest name of the first group that has one near enough: in the first group one edit for each three characters
    of `word`, at least one and at most two; in later groups one. Two names have too little in common if the
    edits are as many as the shorter one has characters and it does not begin the longer one.
    """
    limit = min(max(len(word) // 3, 1), 2)
    found = None
    for group in groups:
        names = list(group)
        if word in names:
            return None
        if found is None:
            edits = [(distance(folded(word), folded(name), limit), name) for name in names]
            near = (pair for pair in edits if pair[0] <= limit and are_akin(folded(word), folded(pair[1]), pair[0]))
            found = min(near, key=lambda pair: pair[0], default=None)
        limit = 1
    return found and found[1]


def are_akin(left, right, edits):
    """Whether two names, that many edits apart, have more in common than a chance."""
    return not edits or edits < min(len(left), len(right)) or left.startswith(right) or right.startswith(left)


def folded(name):
    """A name without what does not count: case, `_` and `-`."""
    return name.replace("_", "").replace("-", "").lower()


def distance(left, right, limit):
    """How many edits are between two texts, or more than `limit`; a swap of two neighbours is one edit."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before, row = [], list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        last, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                edits = min(edits, last[j - 2] + 1)
            row.append(edits)
    return row[-1]
