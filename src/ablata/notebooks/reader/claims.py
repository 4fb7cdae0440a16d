"""What a remark claims: better, worse, the same, failed. Words of Chinese and English, clause by clause.

A clause that asks or supposes claims nothing. What follows "but" outweighs what went before it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from ablata.notebooks.reader.model import Claim

_CLAUSES = re.compile(r"[，。；,;！!\n]|(?<=[?？])|\.(?:\s|$)|\s-+\s|（|）|\(|\)")
_BUT = re.compile(r"但是|但(?!凡)|不过(?!拟)|然而|\bbut\b|\bhowever\b|\balthough\b", re.IGNORECASE)
_OPEN = re.compile(
    r"[?？]|吗\s*$|呢\s*$|是否|能不能|会不会|行不行|怎么|如何|为何|为什么|如果|要是|假如|万一|的话|应该会|目标|"
    r"只有小部分|偶尔|看看|试试|试一下|看一下|\b(whether|if|would|could|should|maybe try|how|why|expect(ed)?|goal|"
    r"target)\b",
    re.IGNORECASE,
)
_FAILED = (
    r"\bnan\b|\binf\b|变成?nan|爆(了|掉|炸)|发散|[不没未](有|完全)?收敛(?!完)|不稳定|报错|溢出|崩(了|溃)|坏了|"
    r"(?<!没)有.{0,2}问题|卡死|"
    r"变成?了?\s?0(\.1)?(了|%|$|\s|的)|会变0|不行了|\bdiverg\w*|\bcrash\w*|\bfail(s|ed|ure)?\b|\bbroke(n)?\b|"
    r"\bcollaps\w*|\boverflow\w*|\boom\b|out of memory|did(n't| not) converge|\bunstable\b|(Error|Exception)\b|"
    r"assert\w* failed"
)
_SAME = (
    r"差不(太)?多|差别不(大|明显)|没有?(太大|什么|啥|多大|明显|任何|太多)?的?(区别|差别|差异|变化|改变|影响|效果$|"
    r"作用$|用$|用处|意义|用的)|"
    r"没(啥|什么|有什么)用|没用|不变$|无(明显|显著)?(区别|变化|影响|差别)|(作用|区别|影响|差异)不(算)?(大|明显|显著)|"
    r"效果不(算)?明显|持平|无所谓|"
    r"是?一样的|效果(是)?一样|不一定(会)?.{0,4}(好|强)|不会.{0,4}差|\bno (real |clear |visible )?(difference|effect|"
    r"change|gain|improvement)|"
    r"\b(about|roughly|nearly|almost|much) the same\b|\bsame\b|\bsimilar\b|\bcomparable\b|\bequal\b|\bunchanged\b|"
    r"\bon par\b|"
    r"\blittle (difference|effect)|\b(does|did|do)(n't| not) matter"
)
_WORSE = (
    r"不行|不好使|不好用|不太行|不\s?work|没\s?work|差了?(一|很|好)?(些|点|多)|变差|更差|越来越差|下降|降低|变坏|"
    r"更坏|效果坏|越.{0,12}越(坏|差)|不如|"
    r"没有?[^，。没不]{0,16}(好|高|强)$|不(算|太|够|是很)?好(?!像|看|说)|(变|更|太|很)慢|冲突|没有?体现|低了|掉(了|"
    r"点|到|下去)|掉\s*\d|不能代替|"
    r"欠拟合|小\s?[\d.]+\s?个点|低\s?[\d.]+\s?个?点|\bworse(n|ned)?\b|\bhurt(s|ing)?\b|\bdegrad\w*|\bdrop(s|ped) (to|"
    r"by|from|a|in|the|0|1|2)|\blower\b|"
    r"\b(does|did|do)(n't| not) (work|help|improve)|\bnot (as |so )?(good|helpful|useful)\b|\bslower\b|\bbad\b|"
    r"\bno good\b|\bdecreas\w*"
)
_BETTER = (
    r"提高|提升|更好|更强|更快|更稳|更加稳定|变快|变好|好了?(一|不|很)?(些|点|少|多)|(大|多|长|小)(一|些)(些|"
    r"点)?(就)?好|有用|有帮助|有助|有效(?!果)|(?<!没)有必要|"
    r"作用(很|更)?(大|明显|好)|效果(很|更|比较|较)?(明显|好)|强(一|了|很)|比.{1,40}(好|强|高|快)|"
    r"长(了)?\s?[一\d零半][\d.]*个?点|能(提|长)|高了|"
    r"(还是|看样子|感觉)[^，。]{0,20}最好|最好(?=$|的|\s)|(是)?work的|(?<!不)好使|(优|好|高|强)于|又快又强|加速了|"
    r"\bbetter\b|\bimprov(e|es|ed|ement|ing)\b|\bhelp(s|ed|ful)?\b|\bbest\b|\bgain(s|ed)?\b|\bhigher\b|\bfaster\b|"
    r"\bworks\b|\buseful\b|\bincreas\w*|\boutperform\w*"
)
_NOW_RIGHT = r"之前.{0,20}(不对|太大|太小|有问题|错|搞反|没对)"
_READERS: tuple[tuple[Claim, re.Pattern[str]], ...] = (
    ("better", re.compile(_NOW_RIGHT)),
    ("failed", re.compile(_FAILED, re.IGNORECASE)),
    ("same", re.compile(_SAME, re.IGNORECASE)),
    ("worse", re.compile(_WORSE, re.IGNORECASE)),
    ("better", re.compile(_BETTER, re.IGNORECASE)),
)
_SIGNS = re.compile(
    r"nan|inf|diverg|crash|fail|broke|collaps|overflow|oom|out of mem|converge|unstable|error|exception|"
    r"differen|effect|change|gain|improve|same|similar|comparable|equal|on par|matter|wors|hurt|degrad|drop|lower|work|"
    r"help|good|useful|slower|bad|decreas|better|improv|best|higher|faster|increas|outperform|"
    r"[爆散敛稳错溢崩坏题卡变行差别异响效用处义]|"
    r"[平谓样好强降低如高慢突现掉替欠点升快助要优速提长前]"
)
"""What every claim has some of, so that most words are passed over quickly."""
_NOT_CLAIMED = re.compile(
    r"像[^，。]*一样|不是因?为?|没有?报错|\bno (nan|errors?|crash)\b|一样不一样|跟.{0,8}一样大|\bhelper\b",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"([\w\-]+)\s*(?:就|都|要|会)?比\s*([\w\-]+?)\s*(?:的)?(?:要|更|效果|都)*(?:好|强|高)", re.ASCII)


def read_claim(words: str, label: str = "") -> Claim | None:
    """Return what a remark claims, or None.

    Args:
        words: the remark.
        label: the trial it is about; with it, "avg_sig beats avg" counts against a trial of avg.
    """
    claim = _claim(words) if words else None
    return _turned(claim, words, label) if claim == "better" and label else claim


@lru_cache(maxsize=1 << 14)
def _claim(words: str) -> Claim | None:
    if not _SIGNS.search(words.lower()):
        return None
    early, late = _claims(words)
    claims = late or early
    if not claims:
        return None
    if "failed" in early + late:
        return "failed"
    if "same" in claims:
        return "same"
    counted = Counter(claims).most_common()
    return next(claim for claim in claims if claim in {name for name, times in counted if times == counted[0][1]})


def _claims(words: str) -> tuple[list[Claim], list[Claim]]:
    """Return the claims of the clauses before the last "but" that claims something, and of those behind it."""
    early: list[Claim] = []
    late: list[Claim] = []
    for clause in _CLAUSES.split(words):
        parts = _BUT.split(clause) if clause else []
        for index, part in enumerate(parts):
            claim = _clause(part)
            if index > 0:
                early, late = early + late, []
                if claim:
                    late = [claim]
                elif early:
                    late = []
                continue
            if claim:
                (late if late else early).append(claim)
    return early, late


def _clause(text: str) -> Claim | None:
    text = text.strip()
    if not text or _OPEN.search(text):
        return None
    text = _NOT_CLAIMED.sub(" ", text)
    return next((claim for claim, pattern in _READERS if pattern.search(text)), None)


def _turned(claim: Claim, words: str, label: str) -> Claim:
    """Turn a claim round if the notes say that another beats what the trial used."""
    found = _COMPARED.search(words)
    if not found:
        return claim
    used = set(re.findall(r"[A-Za-z_]\w*", re.split(r"而不是|instead of|rather than", label)[0]))
    return "worse" if found[2] in used and found[1] not in used else claim
