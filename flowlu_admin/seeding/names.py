"""Names of companies, people and applications, in the scripts that customers write in. Pure."""

from random import Random
from typing import Final

_FIRST_LABELS: Final = (
    "acme", "aurora", "baltic", "bergmann", "blue", "bright", "cedar", "cobalt", "delta", "eastwind", "ember", "fjord",
    "garnet", "globex", "granite", "harbour", "helios", "indigo", "juniper", "kestrel", "lakeside", "lumen", "maple",
    "meridian", "nimbus", "nordic", "oakridge", "orchid", "pacific", "polar", "quartz", "redwood", "river", "sable",
    "sierra", "solstice", "summit", "tundra", "umbra", "vega", "velvet", "westgate", "willow", "zenith",
)  # fmt: skip
_LAST_LABELS: Final = (
    "agency", "bakery", "bikes", "build", "cargo", "clinic", "consult", "dental", "design", "energy", "estate",
    "events", "farms", "foods", "freight", "glass", "homes", "hotels", "interiors", "labs", "legal", "logistics",
    "media", "metal", "motors", "optics", "paper", "parts", "press", "print", "school", "service", "shop", "software",
    "sport", "steel", "studio", "supply", "systems", "textile", "tours", "trade", "travel", "wood",
)  # fmt: skip
# Given names and family names that go together. Each pair is one script or language.
_PEOPLE: Final = (
    (("Ana", "José", "Lucía", "Íñigo", "Sofía", "Andrés"), ("Ruiz", "Núñez", "García López", "Ibáñez", "Peña")),
    (("Emma", "Jack", "Olivia", "Noah", "Grace", "Owen"), ("Smith", "O'Brien", "Taylor", "Clarke", "Walker-Hughes")),
    (("João", "Beatriz", "Conceição", "Tiago", "Inês"), ("da Silva", "Araújo", "Gonçalves", "Simões")),
    (("Анна", "Иван", "Мария", "Олег", "Юлия", "Пётр"), ("Иванова", "Смирнов", "Кузнецова", "Щукин", "Ёлкина")),
    (("Jürgen", "Anke", "Björn", "Zoë", "Łukasz", "Mårten"), ("Müller", "Weiß", "Østergård", "Wójcik", "Şahin")),
    (("李", "王", "陈"), ("伟", "秀英", "小明")),
    (("さくら", "健太", "陽子"), ("佐藤", "鈴木", "高橋")),
    (("محمد", "فاطمة", "ليلى"), ("الأحمد", "حداد", "المنصوري")),
    (("नेहा", "राहुल"), ("शर्मा", "पटेल")),
)
# appId ending, name, scopes of the first version, what later versions ask for besides.
APPLICATIONS: Final = (
    ("desk", "Customer Desk", ("user.me", "crm.accounts.full", "task.read"), ("crm.deals", "fin.read")),
    ("invoices", "Invoices & Reminders", ("user.me", "fin.full"), ("crm.accounts.read", "products.read")),
    ("planner", "Planificador de equipo", ("user.me", "calendar.full", "task.full"), ("orgchart.read", "agile.read")),
    ("map", "Карта клиентов", ("user.me", "crm.accounts.read"), ("crm.deals.read", "customlists.read")),
    ("sign", "Signatures", ("user.me", "crm.deals.full"), ("workspace.read",)),
    ("wiki", "Wiki Sync", ("user.me", "knowledgebase.full"), ("users.read", "workspace.full")),
    ("stock", "Estoque", ("user.me", "products.full"), ("st.read", "fin.read")),
    ("calls", "Call Notes", ("user.me", "telephony.read", "crm.accounts.full"), ("task.full",)),
    ("board", "ボード", ("user.me", "task.full"), ("calendar.read", "timetracker.read")),
    ("forms", "Forms to Lists", ("user.me", "customlists.full"), ("crm",)),
    ("people", "People Directory", ("user.me", "users.read", "orgchart.read"), ("calendar.read",)),
    ("reports", "Reports", ("user.me", "crm.read", "fin.read", "task.read"), ("company.read",)),
)
POINTS: Final = ("menu", "cards.account", "cards.deal", "cards.task", "settings", "")


def domain_label(rng: Random, number: int) -> str:
    """Return the first label of a portal's domain. The number makes it one of its kind."""
    first, last = rng.choice(_FIRST_LABELS), rng.choice(_LAST_LABELS)
    dash = rng.choice(("-", "-", ""))
    return f"{first}{dash}{last}-{number}"


def person(rng: Random) -> str:
    given, family = rng.choice(_PEOPLE)
    return f"{rng.choice(given)} {rng.choice(family)}"
