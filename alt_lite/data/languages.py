"""The language of a prompt: a code for a name or tag, a guess by script and by common words; pure.

The guess by common words tells eight languages of Latin script apart, and says English where none is plain.
"""

from __future__ import annotations

import re
import unicodedata

_NAMES = {
    "en": "english anglais ingles englisch inglese angol eng us uk american british", "zh": "chinese mandarin simplified traditional 中文 汉语 漢語 简体中文 繁體中文 繁体中文 普通话 zho chi cmn cn chinois chino chinesisch zhongwen cantonese yue",
    "es": "spanish español espanol castellano spa castilian espagnol spanisch", "fr": "french français francais fra fre französisch frances",
    "de": "german deutsch deu ger allemand aleman", "it": "italian italiano ita italienisch", "pt": "portuguese português portugues por brazilian brasileiro",
    "nl": "dutch nederlands nld dut flemish vlaams", "ja": "japanese 日本語 jpn jp nihongo 日语 japonais", "ko": "korean 한국어 kor kr 韩语 coreano", "ru": "russian русский rus russe",
    "uk": "ukrainian українська ukr ua", "ar": "arabic العربية عربي ara arabe", "he": "hebrew עברית heb iw", "hi": "hindi हिन्दी हिंदी hin", "th": "thai ไทย ภาษาไทย tha",
    "el": "greek ελληνικά gre ell", "vi": "vietnamese tiếng việt vie", "tr": "turkish türkçe turkce tur", "pl": "polish polski pol", "id": "indonesian bahasa indonesia ind",
    "fa": "persian farsi فارسی fas per", "bn": "bengali bangla বাংলা ben", "ta": "tamil தமிழ் tam", "te": "telugu తెలుగు tel", "ur": "urdu اردو urd",
    "sv": "swedish svenska swe", "da": "danish dansk dan", "no": "norwegian norsk nor nb nn", "fi": "finnish suomi fin", "cs": "czech čeština ces cze", "hu": "hungarian magyar hun",
    "ro": "romanian română ron rum", "bg": "bulgarian български bul", "ca": "catalan català cat", "ms": "malay melayu msa may", "sw": "swahili kiswahili swa", "tl": "tagalog filipino tgl",
    "ka": "georgian ქართული kat geo", "hy": "armenian հայերեն hye arm",
}
_CODES = {name: code for code, names in _NAMES.items() for name in (code, *names.split())}
# Known by ISO 639-1, without names here.
_MORE = frozenset(
    ["af", "am", "az", "be", "bs", "cy", "et", "eu", "ga", "gl", "gu", "ha", "hr", "ht", "ig", "is", "jv", "kk", "km", "kn", "ku", "ky", "la", "lb", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "mt", "my", "ne", "or", "pa", "ps", "rw", "sd", "si", "sk", "sl", "sm", "sn", "so", "sq", "sr", "st", "su", "tg", "tk", "ts", "ug", "uz", "wo", "xh", "yi", "yo", "zu"]
)
# Letters of a script, by the first word of their Unicode names.
_SCRIPTS = {
    "CYRILLIC": "ru", "ARABIC": "ar", "HEBREW": "he", "THAI": "th", "DEVANAGARI": "hi", "GREEK": "el", "HANGUL": "ko", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te",
    "GEORGIAN": "ka", "ARMENIAN": "hy", "GUJARATI": "gu", "GURMUKHI": "pa", "KANNADA": "kn", "MALAYALAM": "ml", "KHMER": "km", "LAO": "lo", "MYANMAR": "my", "ETHIOPIC": "am", "SINHALA": "si",
}
# Letters that one language of a script has and the first does not.
_LETTERS = (("ru", "іїєґ", "uk"), ("ar", "پچژگ", "fa"), ("ar", "ٹڈڑے", "ur"))
_WORDS = {
    "en": "the a an of to and is are was in on for with that this it you your my me i what how why who where which when do does did can could should would please tell give write explain make be from by as at or not if them they we he she his her there have has about into than then will some any all",
    "es": "el la los las un una unos unas de del al y en que es por para con como qué cómo cuál cuáles cuántos cuántas cuánto cuánta dónde quién cuándo mi tu su se lo le les sin sobre más pero está están hay puedo puedes quiero dime escribe explica explícame hacer si no son tiene cada una muy ser fue esta este eso",
    "fr": "le la les un une des de du et en est que qui pour avec dans sur comment pourquoi quel quelle quels quelles où quand je tu il elle nous vous mon ma mes ton ta tes son sa ses ne pas plus mais être fait faire puis peux écris explique donne moi au aux ce cette ces se si sans sont",
    "de": "der die das den dem des ein eine einen einem einer und ist sind in im zu mit auf für von wie was warum wer wo wann welche welcher welches ich du er sie es wir ihr mein meine dein nicht kein keine aber oder auch an als bei nach mir mich bitte kann man sich schreibe erkläre über aus um",
    "it": "il lo la gli le un una uno di del della dei delle e è in che per con come cosa perché quale quali dove quando chi io tu mi ti si non più ma sono mio mia tuo sua su da al alla nel nella scrivi spiega fare posso quanto quanti",
    "pt": "o a os as um uma de do da dos das e é em no na nos nas que para por com como qual quais onde quando quem eu você meu minha seu sua não mais mas são ser fazer posso escreva explique me se ao à pelo pela isso este esta quanto quantos",
    "nl": "de het een en van in op is zijn met voor hoe wat waarom wie waar wanneer welke ik jij je hij zij wij mijn jouw niet geen maar of ook aan als bij naar kan schrijf leg uit dat dit die er om te door",
}
_PROFILES = {code: frozenset(words.split()) for code, words in _WORDS.items()}
# Letters that English does not have, and the words of no other language here with them.
_MARKS = (("vi", "ơưđăạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"), ("tr", "ığş"), ("pl", "łąęśźżćń"))
_QUOTED = re.compile(r'“[^”]*”|"[^"]*"|«[^»]*»|„[^“”]*[“”]|「[^」]*」')
_TOKEN = re.compile(r"[^\W\d_]+")


def code(name: str) -> str | None:
    """Give the code of a language's name or tag (`English`, `zh-CN`, `es_MX`, `Español`); None where it is not known."""
    text = unicodedata.normalize("NFC", name).strip().lower()
    if text in _CODES:
        return _CODES[text]
    parts = [part for part in re.split(r"[\s_\-()（）,;/.]+", text) if part]
    if parts and parts[0] in _MORE:
        return parts[0]
    return next((_CODES[part] for part in parts[:2] if part in _CODES), None)


def guess(text: str) -> str:
    """Guess a prompt's language by its script, and by common words where that is Latin; quotations do not count
    where enough stands around them."""
    around = _QUOTED.sub(" ", text)
    if sum(map(str.isalpha, around)) >= 10:
        text = around
    han = kana = 0
    others: dict[str, int] = {}
    letters = 0
    for char in text:
        if char.isascii():
            letters += char.isalpha()
        elif "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf":
            han += 1
        elif "\u3040" <= char <= "\u30ff" or "\uff66" <= char <= "\uff9f":
            kana += char not in "・ー"
        elif char.isalpha() or unicodedata.category(char) in ("Mn", "Mc"):
            script = unicodedata.name(char, "").split(" ")[0]
            others[script] = others.get(script, 0) + 1
            letters += 1
    # A character of these scripts is a word or half of one, so that a few Latin words among them weigh little.
    if (han + kana) * 5 > len(text):
        return "ja" if kana * 10 >= han + kana else "zh"
    script = max((name for name in others if name in _SCRIPTS), key=lambda name: others[name], default=None)
    if script and others[script] * 3 > letters:
        found = _SCRIPTS[script]
        return next((other for of, marks, other in _LETTERS if of == found and any(mark in text for mark in marks)), found)
    return _latin(text)


def _latin(text: str) -> str:
    lowered = unicodedata.normalize("NFC", text).lower()
    for found, marks in _MARKS:
        if sum(char in marks for char in lowered) * 12 > len(_TOKEN.findall(lowered)) * 2 + 10:
            return found
    words = _TOKEN.findall(lowered)
    counts = {found: sum(word in profile for word in words) for found, profile in _PROFILES.items()}
    best = max(counts, key=lambda found: (counts[found], found == "en"))
    if ("¿" in text or "¡" in text) and counts["en"] <= counts["es"]:
        return "es"
    # Words that other languages have too are not enough against an English text about them.
    accents = any(not char.isascii() and char.isalpha() for char in text)
    plain = counts[best] >= 2 and counts[best] > 2 * counts["en"] and counts[best] * (4 if accents else 3) >= len(words)
    return best if best != "en" and plain else "en"
