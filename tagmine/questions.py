"""A question and its answer as a statement: "What color is the car?" "red": "the car is red".

A few rules for the commonest forms of VQA and Visual Dialog questions, not a grammar. What they
do not turn says nothing, and neither does a "no": a tag is something that is in the picture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Raised by whoever changes what a question and its answer become; parts are then mined again.
QUESTION_RULES = 2

# Rules try each place of a question against each other; the longest of VQA has a hundred letters.
MAX_QUESTION_CHARACTERS = 300
# Answers of ten people are usual (VQA); more than this is no question any more.
MAX_ANSWERS = 100

_NOTHING = re.compile(
    r"\b(no|not|none|nothing|nobody|nowhere|never|neither|nor|without|zero|0+|nope|nah|"
    r"unknown|unanswerable|unclear|unsure|maybe|perhaps|possibly|probably|can'?t|cannot)\b|n't\b|"
    r"\b(n/a|i think|i believe|i guess|don'?t know|hard to (tell|say))\b"
)
_YES = re.compile(r"^(yes|yeah|yep|yup|true)\b")
_NEGATED = re.compile(r"\b(not|no|without)\b|n't\b")
# What asks for a name, a text, a time, a reason: the answer is not a thing in the picture.
_NO_THING = re.compile(
    r"^(why|when|whose|how (?!many\b)|"
    r"what (time|year|day|month|date|number|letters?|words?)\b)"
    r"|\b(missing|absent|lacks?|lacking|without|would|could|besides|except|instead|not)\b"
    r"|\b(say|says|read|reads|spell|name|happen|happened|happening|mean|written)\b"
)
_BE = r"(?:is|are|was|were)"
_IN_PICTURE = (
    r"(?:in|on|of) (?:the|this) (?:picture|photo|photograph|image|scene|shot)|(?:visible|shown|"
    r"pictured|here|there)"
)
_PREPOSITION = (
    r"(?:in front of|on top of|next to|on|in|under|underneath|behind|near|at|above|below|beside|"
    r"between|around|over|inside|outside|against|along|across|beneath|by)"
)
_STRANDED = re.compile(rf"(?:^|.* )(?:{_PREPOSITION}|with|to|from|off|of|through|down|up|for)$")
_VERB = r"(?P<verb>\w+ing)(?: (?P<rest>.+))?"
_QUANTITIES_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve several many lots few some "
    "dozens hundreds"
)
_QUANTITIES = frozenset(_QUANTITIES_WORDS.split())
# An answer that begins so is no noun phrase. Colours and shapes are answers to questions of their
# own rules; alone they are said of nothing.
_NO_NOUN_WORDS = (
    "he she it they i we you is are was were am be do does did has have had yes to very quite "
    "left right up down red orange yellow green blue purple pink brown black white gray grey "
    "silver gold beige tan round square striped old young big small large tall short happy sad "
    "good bad open closed wet dry sunny cloudy clear new male female standing sitting"
)
_NO_NOUN = frozenset(_NO_NOUN_WORDS.split())
_MAX_PHRASE_WORDS = 5


def statement(question: str, answer: str) -> str:
    """What a question and its answer say together.

    Args:
        question: as asked, with or without its question mark.
        answer: as given: "yes", "red", "2", "a man on a horse".

    Returns:
        A statement to mine, in lower case where the question gives its words; "" when nothing is
        said: a "no", a hedge, or a form that no rule turns.
    """
    asked = _words(question).casefold()
    answer = _words(answer)
    given = answer.casefold()
    if not asked or not given or len(asked) > MAX_QUESTION_CHARACTERS:
        return ""
    if _NOTHING.search(given) or _NO_THING.search(asked) or _NEGATED.search(asked):
        return ""
    for pattern, make in _RULES:
        match = pattern.match(asked)
        if match:
            said = make(match, "yes" if _YES.match(given) else answer)
            return " ".join(said.split())
    return ""


def read_questions(value: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The statements of a record {"question": …, "answer": …} or {"question": …, "answers": […]}.

    Args:
        value: the record. Each of `answers` is an answer or a record with one, as VQA has it, and
            is a vote; where there are `answers`, `answer` is their summary and is not read.

    Returns:
        Each statement with its votes, in the order of first mention; equal answers are one,
        whatever their case.

    Raises:
        ValueError: for a record of another form.
    """
    question = value.get("question")
    if not isinstance(question, str):
        raise ValueError(f"a question must be text, got {type(question).__name__}")
    # A table with both columns leaves one of them empty.
    answers = value.get("answers") or value.get("answer")
    votes: dict[str, tuple[str, int]] = {}
    for answer in _answers(answers):
        said = statement(question, answer)
        if said:
            first, count = votes.get(said.casefold(), (said, 0))
            votes[said.casefold()] = (first, count + 1)
    return list(votes.values())


def _answers(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    if len(values) > MAX_ANSWERS:
        raise ValueError(f"a question with {len(values):,} answers; the limit is {MAX_ANSWERS}")
    return [text for text in map(_answer, values) if text]


def _answer(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("answer")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int | float):
        return str(value)
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"an answer must be text or a number, got {type(value).__name__}")


def _words(text: str) -> str:
    return " ".join(text.replace("’", "'").split()).strip(" ?.!")


def _phrase(answer: str) -> str:
    """The answer where it may stand alone, being a noun phrase as far as its words tell."""
    words = answer.casefold().replace(",", " ").split()
    if answer == "yes" or not words or len(words) > _MAX_PHRASE_WORDS:
        return ""
    wordlike = all(word.replace("-", "").replace("'", "").isalpha() for word in words)
    odd = words[0] in _NO_NOUN or words[0].endswith(("ing", "ly")) or _starts_place(words)
    return answer if wordlike and not odd else ""


def _starts_place(words: list[str]) -> bool:
    return re.match(rf"{_PREPOSITION}\b", " ".join(words)) is not None


def _alone(match: re.Match, answer: str) -> str:
    return _phrase(answer)


def _is_so(match: re.Match, answer: str) -> str:
    return "" if answer == "yes" else f"{match['subject']} {match['be']} {answer}"


def _colored(match: re.Match, answer: str) -> str:
    if answer == "yes":
        return ""
    verb = f"{match['verb']} {answer} {match['thing']} {match['rest'] or ''}"
    return f"{match['subject']} {match['be']} {verb}"


def _count(match: re.Match, answer: str) -> str:
    rest = match["rest"]
    verb, _, place = rest.partition(" ")
    # "are on the sofa" says more of them; "do you see" and "are in the picture" do not.
    says_more = verb in ("is", "are", "was", "were") and _place(place)
    return _number_of(match["thing"], answer, rest if says_more else "")


def _count_there(match: re.Match, answer: str) -> str:
    return _number_of(match["thing"], answer, _place(match["rest"]))


def _number_of(thing: str, answer: str, rest: str) -> str:
    first, *more = answer.casefold().split()
    if not first.isdecimal() and first not in _QUANTITIES and (first, *more) != ("a", "few"):
        return ""
    # "2 people", as some answer with the noun: the noun is in the question.
    number = first if first.isdecimal() else answer
    return f"{number} {thing} {rest}"


def _place(rest: str | None) -> str:
    return "" if not rest or re.fullmatch(_IN_PICTURE, rest) else rest


def _acts(match: re.Match, answer: str) -> str:
    if answer == "yes":
        return ""
    subject = f"{match['subject']} {match['be']}"
    verb, rest = match["verb"], match["rest"] or ""
    if verb == "doing":
        return f"{subject} {answer}" if answer.split()[0].casefold().endswith("ing") else ""
    if not rest or _STRANDED.match(rest):
        return f"{subject} {verb} {rest} {answer}"
    return f"{subject} {verb} {answer} {rest}"


def _actor(match: re.Match, answer: str) -> str:
    said = _phrase(answer)
    return said and f"{said} {match['be']} {match['rest']}"


def _at_place(match: re.Match, answer: str) -> str:
    said = _phrase(answer)
    return said and f"{said} {_place(match['rest'])}"


def _where(match: re.Match, answer: str) -> str:
    if answer != "yes" and _starts_place(answer.casefold().split()):
        return f"{match['subject']} {match['be']} {answer}"
    return _phrase(answer)


def _there_is(match: re.Match, answer: str) -> str:
    thing = re.sub(r"^(any|some) ", "", match["thing"])
    if answer != "yes" or " or " in thing:
        return _phrase(answer) if " or " in thing else ""
    return f"there {match['be']} {_trimmed(thing)}"


def _seen(match: re.Match, answer: str) -> str:
    if answer != "yes" or " or " in match["thing"]:
        return ""
    return _trimmed(re.sub(r"^(any|some) ", "", match["thing"]))


def _trimmed(thing: str) -> str:
    return re.sub(rf" (?:{_IN_PICTURE})$", "", thing)


def _is_one(match: re.Match, answer: str) -> str:
    if answer == "yes" and " or " not in match["thing"]:
        return f"{match['subject']} {match['be']} {match['thing']}"
    return _phrase(answer) if answer != "yes" else ""


def _chosen(match: re.Match, answer: str) -> str:
    options = (match["first"], match["second"])
    if answer.casefold() not in options:
        return ""
    return f"{match['subject']} {match['be']} {answer}"


def _confirmed(match: re.Match, answer: str) -> str:
    return f"{match['subject']} {match['be']} {match['rest']}" if answer == "yes" else ""


def _has(match: re.Match, answer: str) -> str:
    if answer != "yes" or " or " in match["rest"]:
        return ""
    verb = "has" if match["do"] == "does" else "have"
    return f"{match['subject']} {verb} {match['rest']}"


def _nothing(match: re.Match, answer: str) -> str:
    return ""


_PRONOUN = r"(?P<subject>this|that|it|he|she|they|these|those)"
_SUBJECT = r"(?P<subject>.+?)"
_SUBJECT_NP = r"(?P<subject>(?:the|a|an|his|her|their|this|that|these|those) .+?)"

# In this order; the first that fits decides.
_RULES = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (rf"(?P<be>{_BE}) there (?P<thing>.+)$", _there_is),
        (r"(?:can|do) you see (?P<thing>.+)$", _seen),
        (
            rf"what colou?rs? (?P<thing>[\w ]+?) (?P<be>{_BE}) (?P<subject>.+?) {_VERB}$",
            _colored,
        ),
        (rf"what colou?rs? (?P<be>{_BE}) (?P<subject>.+)$", _is_so),
        (rf"what (?P<be>{_BE}) the (?:colou?rs?|shape|pattern) of (?P<subject>.+)$", _is_so),
        (rf"what (?:shape|pattern) (?P<be>{_BE}) (?P<subject>.+)$", _is_so),
        (rf"how many (?P<thing>.+?) {_BE} there(?: (?P<rest>.+))?$", _count_there),
        (
            r"how many (?P<thing>[\w' -]+?) (?P<rest>(?:is|are|was|were|do|does|did|can|have|has)\b"
            r".*)$",
            _count,
        ),
        (r"how many (?P<thing>[\w' -]+)(?P<rest>)$", _count),
        (rf"where (?P<be>{_BE}) {_SUBJECT}(?: located| sitting| standing)?$", _where),
        (rf"(?:what|who) (?P<be>{_BE}) (?P<rest>{_PREPOSITION} .+)$", _at_place),
        (rf"(?:what|who) (?P<be>{_BE}) (?P<rest>\w+ing .+)$", _actor),
        (rf"(?:what|who) (?P<be>{_BE}) {_SUBJECT} {_VERB}$", _acts),
        (r"(?:what|which|who)\b", _alone),
        (rf"(?P<be>{_BE}) {_PRONOUN} (?P<thing>(?:a|an|the) .+)$", _is_one),
        (rf"(?P<be>{_BE}) {_SUBJECT_NP} (?P<first>\w+) or (?P<second>\w+)$", _chosen),
        (rf"{_BE} .* or ", _nothing),
        (rf"(?P<be>{_BE}) {_SUBJECT_NP} (?P<rest>\w+ing\b.*)$", _confirmed),
        (rf"(?P<be>{_BE}) {_SUBJECT_NP} (?P<rest>{_PREPOSITION} .+)$", _confirmed),
        (
            rf"(?P<be>{_BE}) (?P<subject>(?:the|this|that|these|those|his|her|their) [\w']+"
            r"(?: [\w']+)?) (?P<rest>\w+)$",
            _confirmed,
        ),
        (rf"(?P<do>do|does) {_SUBJECT_NP} have (?P<rest>.+)$", _has),
    )
)
