"""Names, labels, reasons and scopes as an attacker would write them. Each list is one way to deceive a reader."""

# Elements and attributes of these names exist nowhere in the console: one in a page came out of a label.
ELEMENT, ATTRIBUTE = "zqx", "zqy"

LABELS: dict[str, list[str]] = {
    "markup": [
        f"<{ELEMENT} {ATTRIBUTE}=1>", f"</td></table><{ELEMENT}>", "<script>alert(1)</script>", "<!--", "<![CDATA[",
        f"</title><{ELEMENT}>", f"</textarea><{ELEMENT}>", f"</script><{ELEMENT}>", "<svg/onload=alert(1)>", "&lt;b&gt; &#60;b&#62;",
    ],
    "attribute": [f"\" {ATTRIBUTE}=1 \"", f"' {ATTRIBUTE}=1 '", f"x {ATTRIBUTE}=1", "javascript:alert(1)", "data:text/html,<b>", "`"],
    "template": ["{{ 7|add:7 }}", "{% load static %}", "{{{{7}}}}", "{0} {name} {!r}", "%s %d %(name)s", "${7*7}", "#{7*7}", "<%= 7 %>"],
    "markdown": ["[click](https://evil.example)", "![x](https://evil.example/x.png)", "`code`", "**bold**", "# heading", "<https://evil.example>"],
    "direction": [
        "Desk\u202egnp.exe", "\u202dDesk", "\u2066Desk\u2069", "\u2067approved\u2069", "\u2068x", "\u200e\u200f\u061c", "\u202a\u202b\u202c",
    ],
    "unseen": ["De\u200bsk", "De\u200dsk", "De\u00adsk", "\ufeffDesk", "De\u2060sk", "De\u180esk", "Desk\U000e0041\U000e007f", "De\ufe0fsk", "De\u3164sk", "De\U0001d173sk"],
    "look-alike": ["D\u0435sk", "\u0410pproved by Ana", "De\u017fk \u0455cript", "\uff24\uff45\uff53\uff4b", "\U0001d403\U0001d41e\U0001d42c\U0001d424"],
    "combining": ["D" + "\u0301" * 60 + "esk", "\u0301" * 30, "e\u20dd\u20dd\u20dd\u20dd\u20dds", "Desk\u0336\u0336\u0336\u0336\u0336\u0336"],
    "control": ["\x1b]0;owned\x07", "\x1b[2J\x1b[1;1H", "\x9b31m", "\x9d0;owned\x9c", "a\rb", "a\r\nERROR forged", "a\nERROR forged", "\x08\x08\x08", "\x7f", "a\x85b", "a\u2028b\u2029c", "\x0b\x0c"],
    "long": ["x" * 200, "W" * 200, "x " * 100, "\u202e" * 200, "a." * 99 + "a"],
    "formula": ["=1+1", "=HYPERLINK(\"https://evil.example\")", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "\uff1d1+1", ";=1", ",=1"],
    "right to left": ["\u05d0\u05d1\u05d2 123", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 (7)", "Desk \u05d0 1.0.0"],
}  # fmt: skip

# What a manifest may ask for. None of them may ever be one that can be approved.
SCOPES: list[str] = [
    "crm.\u0430ccounts.full", "\u0441rm.accounts.full", "crm.accounts.fu\u217c\u217c", "crm\u2024accounts.full", "crm\uff0eaccounts.full", "ｃｒｍ.accounts.full",
    "crm.accounts.full\u200b", "crm.\u00adaccounts.full", "\ufeffcrm.accounts.full", "crm.accounts\u202e.full", "\u2066crm.accounts.full\u2069",
    "crm.accounts.full ", " crm.accounts.full", "crm.accounts.full\n", "crm.accounts\t.full", "CRM.accounts.full", "crm.Accounts.full",
    "crm.accounts.FULL", "crm..accounts.full", ".crm.accounts.full", "crm.accounts.full.", "crm.acco\u0301unts.full", "crm.accounts.full\u0301",
    "crm.accounts.full,fin.full", "crm.accounts.full fin.full", "crm.*", "*", "*.full", "crm.accounts.admin", "crm.accounts.full.full", "read", "full", ".full",
    "=crm.accounts.full", "+crm", "-crm.full", "@crm.full", f"<{ELEMENT}>.full", f"crm\" {ATTRIBUTE}=\"1.full", "{{ crm }}.full", "\x1b[31mcrm.full", "crm/accounts.full",
    "crm.accounts%2efull", "\u202elluf.mrc", "x" * 200, "a." * 99 + "a",
]  # fmt: skip
