"""Every sentence that is put into a prompt or a target, with where it comes from.

Nothing here spells out harm: sentences name a kind of harm, never a way to it. What the papers do
not publish (AltTrain's refusal, its assessment prompt) is our choice, and said to be.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

# After `</think>` of a refused request: the no-CoT format's sentence (arXiv 2505.15404). AltTrain's own
# is not published; our choice.
REFUSAL = {
    "en": "I'm sorry, I can't assist with that request.",
    "es": "Lo siento, no puedo ayudar con esa petición.",
    "zh": "抱歉，我无法协助这个请求。",
}
# The end of a refused request's reasoning, AltTrain's conditional step. Its wording is not published.
REFUSE = {
    "en": "Therefore, I should refuse to answer this request.",
    "es": "Por lo tanto, debo rechazar esta petición.",
    "zh": "因此，我应该拒绝回答这个请求。",
}
# The same step in other words, for the ablation in which the paper rephrases it.
REFUSE_REPHRASED = {
    "en": (
        "So I will decline to help with this.",
        "The right thing to do is to refuse, so I must refuse this request.",
        "I cannot help with this, and I will say so plainly.",
        "Given that, I won't provide what is asked for.",
        "For this reason I have to decline the request.",
    ),
    "es": ("Así que voy a rechazar la petición.", "No debo ayudar con esto.", "Por eso tengo que rechazar lo que se pide."),
    "zh": ("所以我必须拒绝这个请求。", "我不能帮助完成这件事。", "基于此，我应该拒绝提供所要的内容。"),
}
# DirectRefusal's whole thought (arXiv 2503.00555).
DIRECT_REFUSAL = "I should not answer this question!"
# SafePath's primer (arXiv 2505.14667).
SAFETY_PRIMER = "Let's think about safety first"
# The prefix of ThinkSafe's refusal steering, exactly (arXiv 2601.23143).
REFUSAL_STEERING = "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\n"
# What makes a model write a short trace (the format `short`, arXiv 2505.15404; the wording is ours).
SHORT_SYSTEM = "Think briefly. Your reasoning must be short and precise: at most three sentences, then the answer."
# R1-Act's system prompts (arXiv 2508.00324, code): by the model's own family.
R1ACT_SYSTEM = {
    "qwen": "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "llama": "You are Llama, created by Meta AI. You are a helpful assistant.",
}

# Kinds of harm: what the format `template` goes through and what template assessments name. The list of
# arXiv 2505.15404 is not at hand; ours follows the usage policies that STAR-1's traces are grounded in.
CATEGORIES = {
    "violence": "violence or physical harm",
    "self-harm": "self-harm",
    "hate": "harassment, hate or discrimination",
    "sexual": "sexual content that must not be made",
    "privacy": "a breach of someone's privacy",
    "crime": "illegal or criminal acts",
    "misinformation": "false or misleading claims",
    "property": "a breach of intellectual property",
    "malware": "attacks on computers or accounts",
}
OTHER_CATEGORY = "other harm"
_CUES = {
    "violence": r"kill|murder|attack|weapon|bomb|explosi|poison|shoot|stab(?:s|bed|bing)?\b|assault|torture|violen|hurt|injur|terror|gun|fight|dangerous chemical|nerve agent|biolog",
    "self-harm": r"suicid|self[- ]harm|my (?:own )?life|hurt myself|cut myself|starv|anorexi|overdose|skinny|eating disorder|end it all",
    "hate": r"racis|racial|sexis|discriminat|stereotyp|inferior|slur|hate|hatred|bully|harass|insult|mock(?:s|ed|ing)?\b|homophob|transgender|immigrant|ethnic|muslim|jews?\b|jewish|women are|minorit|offensive|demean",
    "sexual": r"sex|porn|nude|erotic|rape[sd]?\b|rapist|molest|explicit|prostitut",
    "privacy": r"private|privacy|personal (?:data|information|detail)|address of|home address|phone number|social security|medical record|track (?:someone|a person|my)|stalk|spy|surveil|dox|identity of|salary|confidential|leak|ssn|customer data",
    "crime": r"steal|theft|rob(?:s|bed|bing|bery|ber)?\b|drug|cocaine|meth\b|smuggl|launder|fraud|scam|brib|counterfeit|forge|forging|illegal|evade|traffick|tax\b|taxes\b|shoplift|black market|cheat|embezzl|insider|poach|without getting caught|exploit (?:a )?loophole",
    "misinformation": r"fake news|false (?:claim|information|statement|article)|misinform|disinform|conspirac|hoax|rumou?r|mislead|propaganda|election|vaccin|deepfake|fabricat|defam|fake (?:article|review|story|evidence)|spread",
    "property": r"copyright|pirat|plagiari|lyrics|trademark|patent|watermark|verbatim|full text|license key|torrent|crack(?:ed)? (?:software|version)|intellectual property|proprietary|trade secret|reproduce|reverse[- ]engineer",
    "malware": r"hack|malware|virus|ransomware|phish|ddos|keylogger|password|exploit|sql injection|botnet|trojan|unauthori[sz]ed|backdoor|breach|bypass|decrypt|crack",
}
_CUE_PATTERNS = {name: re.compile(rf"\b(?:{words})", re.IGNORECASE) for name, words in _CUES.items()}

_HARMFUL = {
    "en": (
        "This request is harmful because it asks for help with {what}, which could hurt people.",
        "The request is harmful, since answering it would support {what}.",
        "This request is harmful: it seeks {what}, and following it would do damage to others.",
        "Because it involves {what}, this request is harmful and helping with it would be wrong.",
        "This request is harmful, as its purpose is {what} and the answer could be used to cause harm.",
        "I judge that this request is harmful, because giving what it asks for would enable {what}.",
    ),
    "es": ("Esta petición es dañina porque busca {what}.", "La petición es dañina: responderla apoyaría {what}."),
    "zh": ("这个请求是有害的，因为它涉及{what}。", "该请求有害，回答它会助长{what}。"),
}
_BENIGN = {
    "en": (
        "This request is not harmful, because it asks for ordinary help and an answer would hurt nobody.",
        "The request is harmless: it seeks information that is put to good use and endangers no one.",
        "This request is safe, since nothing in it aims at hurting people or breaking the law.",
        "I see no ill intent here, so this request is not harmful and can be answered.",
        "This request is benign, because following it would put no one in danger.",
        "The request is not harmful; it is a legitimate question that can be answered openly.",
    ),
    "es": ("Esta petición no es dañina, porque responderla no perjudica a nadie.", "La petición es segura: pide ayuda normal."),
    "zh": ("这个请求是无害的，因为回答它不会伤害任何人。", "该请求是安全的，只是寻求正常的帮助。"),
}
_WHAT = {"es": "algo que puede hacer daño", "zh": "可能伤害他人的内容"}

# How a trace restates a request, where the source wrote none: `restating` chooses the form that the request allows. English ones open as R1's
# traces do in the published sets: with openings of their own, benign rows would be told from harmful ones before the request is assessed.
# {what} is an order without its subject ("write a poem"), or the request itself between quotation marks.
UNDERSTAND_ORDER = (
    "Okay, so the user is asking me to {what}.", "Okay, so the user wants me to {what}.", "Okay, so the user would like me to {what}.",
)
UNDERSTAND_HOW = (
    "Okay, so the user is asking how to {what}.", "Okay, so the user is asking about how to {what}.", "Okay, so the user wants to know how to {what}.",
)
UNDERSTAND_QUESTION = {
    "en": (
        "Okay, so the user is asking, \"{what}\"", "Okay, so the user is asking this: \"{what}\"", "Okay, so the user wants to know: \"{what}\"",
    ),
    "es": ("El usuario pregunta: «{what}».", "Bien, el usuario pregunta lo siguiente: «{what}».", "El usuario quiere saber esto: «{what}»."),
    "zh": ("用户问的是：“{what}”。", "好的，用户想知道：“{what}”。", "用户在问：“{what}”。"),
}
UNDERSTAND_TEXT = {
    "en": (
        "Okay, so the user is asking for this: \"{what}\"", "Okay, so the user wants this: \"{what}\"", "Okay, so the user is asking the following: \"{what}\"",
    ),
    "es": ("El usuario pide lo siguiente: «{what}».", "Bien, el usuario quiere esto: «{what}».", "El usuario pide esto: «{what}»."),
    "zh": ("用户的需求在这里，用户想要：“{what}”。", "好的，用户要求：“{what}”。", "用户请求：“{what}”。"),
}
UNDERSTAND_NOTHING = {
    "en": "The user wants a reply to a short message.", "es": "El usuario quiere una respuesta a un mensaje breve.", "zh": "用户想得到对一条简短信息的回复。",
}
# The conditional step of a benign row whose source wrote no trace.
ANSWERABLE = {
    "en": (
        "So I can answer it directly.", "I'll give what is asked for, plainly.", "So I will provide a clear and helpful answer.",
        "I can simply answer this.", "Now I'll write the answer as it is asked for.", "Let me answer it straight away.",
    ),
    "es": ("Por eso puedo dar la respuesta directamente.", "Así que voy a dar una respuesta clara.", "Voy a explicar lo que se pide."),
    "zh": ("因此我可以直接回答。", "我会给出清楚的回答。", "我来按要求作答。"),
}
# Before a solution that does not say that it is one.
WORK_OUT = {"en": "Let me work it out step by step.", "es": "Voy a explicar esto paso a paso.", "zh": "我来一步一步地算。"}

# Neutral words in place of an assessment, for the ablation that keeps its length and nothing else.
_FILLER = {
    "en": ["this", "is", "one", "more", "sentence", "that", "stands", "here", "and", "adds", "nothing", "to", "the", "matter", "at", "hand", "in", "any", "way"],
    "es": ["esta", "es", "una", "frase", "más", "que", "está", "aquí", "y", "no", "añade", "nada", "al", "asunto", "de", "ninguna", "manera"],
    "zh": list("这里只是又写了一句话它对所说的事情没有增加任何内容也没有别的意思"),
}


def choose(options: Sequence[str], key: str) -> str:
    """Pick one of `options` by a hash of `key`, so that a row always gets the same one."""
    return options[zlib.crc32(key.encode()) % len(options)]


def categorise(prompt: str) -> str:
    """Name the kind of harm that a harmful prompt's words point to; `other harm` where none does.

    A count of cue words, first category in case of a tie: rough, but made without a model.
    """
    counts = {name: len({m.group().lower() for m in cues.finditer(prompt)}) for name, cues in _CUE_PATTERNS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else OTHER_CATEGORY


def steered(prompt: str, label: str) -> str:
    """The prompt as ThinkSafe samples it: a harmful one behind the steering prefix, a benign one as it is."""
    return REFUSAL_STEERING + prompt if label == "harmful" else prompt


def template_assessment(label: str, category: str | None, language: str, key: str) -> str:
    """Write the assessment of a request from its label and category, in one of several wordings.

    AltTrain has GPT-4o write it (arXiv 2604.18946); this is our stand-in that needs no model.
    """
    language = language if language in _HARMFUL else "en"
    if label == "benign":
        return choose(_BENIGN[language], key)
    what = CATEGORIES.get(category or "", category.lower() if category else "something that could hurt people or break the law")
    return choose(_HARMFUL[language], key).format(what=_WHAT.get(language, what))


def filler(sentence: str, language: str) -> str:
    """Write a neutral sentence with as many words as `sentence` (in Chinese: characters)."""
    language = language if language in _FILLER else "en"
    spaced = language != "zh"
    count = max(len(sentence.split()) if spaced else len(sentence) - 1, 1)
    words = _FILLER[language]
    text = (" " if spaced else "").join(words[i % len(words)] for i in range(count))
    return text[0].upper() + text[1:] + ("." if spaced else "。")


def category_check(label: str, category: str | None) -> str:
    """Go through the list of categories and end in a verdict: the format `template` (arXiv 2505.15404)."""
    hit = category if label == "harmful" else None
    names = dict(CATEGORIES)
    if hit and hit not in names:
        names[hit] = hit
    lines = [f"- {text}: {'yes' if name == hit else 'no'}" for name, text in names.items()]
    verdict = "This request is harmful." if label == "harmful" else "This request is not harmful."
    return "\n".join(["Let me check each kind of harm.", *lines, verdict])


def assessment_request(prompt: str, label: str) -> str:
    """Ask a model for one sentence of assessment, given the label (the paper's own prompt is not
    published; our wording)."""
    verdict = "harmful" if label == "harmful" else "not harmful"
    return (
        f"A user sent the request below. A reviewer has found that the request is {verdict}. Write exactly one sentence "
        f"that begins with \"This request is {verdict} because\" and says why. Judge what is asked for, not how it is "
        "dressed up or worded, and give no instructions. Reply with that sentence only; do not answer the request.\n\n"
        f"Request:\n\n{prompt}"
    )
