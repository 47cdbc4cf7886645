"""What the sandbox portals hold: people, customers, deals, tasks, invoices and projects, the same at every start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Record: TypeAlias = dict[str, Any]
Right: TypeAlias = Literal["none", "read", "full"]
FieldKind: TypeAlias = Literal["text", "int", "money", "bool"]

# What the application of a sandbox in a test asks for; the one that people start takes it from a manifest.
DEFAULT_SCOPES = ("user.me", "users.read", "crm.full", "task.full", "fin.read", "st.read")

_FIRST_DAY = date(2026, 1, 5)


@dataclass(frozen=True, slots=True)
class Model:
    """How one API model behaves: its fields, what a new record needs, and how it words a validation error."""

    fields: Mapping[str, FieldKind]
    required: tuple[str, ...] = ("name",)
    searched: tuple[str, ...] = ("name",)
    validation: Literal["code_21", "named"] = "code_21"
    actions: frozenset[str] = frozenset({"list", "get", "create", "update", "delete"})


@dataclass(frozen=True, slots=True)
class User:
    """One person with a sign-in on a portal, and what that person may do in each module."""

    id: str
    name: str
    first_name: str
    last_name: str
    second_name: str
    username: str
    lang_id: str
    timezone: str
    is_admin: bool
    role: str
    rights: Mapping[str, Right] = field(default_factory=dict)

    def right_in(self, module: str) -> Right:
        """Give the user's right in a module; an administrator has them all."""
        return "full" if self.is_admin else self.rights.get(module, "none")


_CONTACT: dict[str, FieldKind] = {"email": "text", "phone": "text", "web": "text", "address": "text"}

MODELS: Mapping[tuple[str, str], Model] = MappingProxyType(
    {
        ("core", "user"): Model(
            fields={
                "id": "text",
                "username": "text",
                "name": "text",
                "first_name": "text",
                "second_name": "text",
                "last_name": "text",
                "lang_id": "text",
                "timezone": "text",
                "image": "text",
                "last_active": "text",
                "register_date": "text",
                "birth_date": "text",
                "role_admin": "bool",
                "role_login": "bool",
            },
            searched=("name", "username"),
            actions=frozenset({"list", "get", "update"}),
        ),
        ("crm", "account"): Model(
            fields={
                "id": "int",
                "type": "int",
                "name": "text",
                **_CONTACT,
                "owner_id": "int",
                "account_category_id": "int",
                "industry_id": "int",
                "active": "bool",
                "created_date": "text",
                "updated_date": "text",
            },
            searched=("name", "email", "phone"),
        ),
        ("crm", "lead"): Model(
            fields={
                "id": "int",
                "name": "text",
                "account_id": "int",
                "assignee_id": "int",
                "pipeline_id": "int",
                "pipeline_stage_id": "int",
                "budget": "money",
                "currency": "text",
                "active": "int",
                "start_date": "text",
                "created_date": "text",
                "updated_date": "text",
            },
        ),
        ("crm", "pipeline"): Model(fields={"id": "int", "name": "text", "ordering": "int"}),
        ("crm", "pipeline_stage"): Model(fields={"id": "int", "name": "text", "pipeline_id": "int", "ordering": "int"}),
        ("crm", "source"): Model(fields={"id": "int", "name": "text"}),
        ("crm", "industry"): Model(fields={"id": "int", "name": "text"}),
        ("crm", "account_category"): Model(fields={"id": "int", "name": "text"}),
        ("task", "tasks"): Model(
            fields={
                "id": "int",
                "name": "text",
                "description": "text",
                "owner_id": "int",
                "responsible_id": "int",
                "status": "int",
                "priority": "int",
                "deadline": "text",
                "crm_account_id": "int",
                "created_date": "text",
                "updated_date": "text",
            },
            validation="named",
        ),
        ("task", "lists"): Model(fields={"id": "int", "name": "text"}, validation="named"),
        ("fin", "invoice"): Model(
            fields={
                "id": "int",
                "name": "text",
                "number": "text",
                "customer_id": "int",
                "total": "money",
                "currency": "text",
                "status": "int",
                "invoice_date": "text",
                "due_date": "text",
                "created_date": "text",
                "updated_date": "text",
            },
            required=("number", "customer_id"),
            searched=("name", "number"),
            validation="named",
        ),
        ("fin", "bank_account"): Model(
            fields={"id": "int", "name": "text", "currency": "text", "balance": "money"}, validation="named"
        ),
        ("st", "projects"): Model(
            fields={
                "id": "int",
                "name": "text",
                "description": "text",
                "manager_id": "int",
                "customer_id": "int",
                "stage_id": "int",
                "startdate": "text",
                "enddate": "text",
                "created_date": "text",
                "updated_date": "text",
            },
            validation="named",
        ),
    }
)

# Modules that exist at Flowlu but hold nothing here: their models are unknown methods (30), not an unknown module (31).
MODULES = frozenset({module for module, _ in MODELS}) | {
    "agile",
    "calendar",
    "company",
    "customfields",
    "knowledgebase",
    "products",
    "telephony",
    "timetracker",
}


@dataclass(frozen=True, slots=True)
class PortalSeed:
    """One portal as it is at the start, and after a reset."""

    domain: str
    title: str
    account_id: str
    users: tuple[User, ...]
    organisations: tuple[str, ...]
    people: tuple[str, ...]
    products: tuple[str, ...]
    currency: str
    mail_domain: str


def _user(
    number: int,
    first: str,
    last: str,
    role: str,
    *,
    username: str,
    lang: str,
    timezone: str,
    is_admin: bool = False,
    second: str = "",
    name: str = "",
    rights: Mapping[str, Right] | None = None,
) -> User:
    return User(
        id=str(number),
        name=name or f"{first} {last}",
        first_name=first,
        last_name=last,
        second_name=second,
        username=username,
        lang_id=lang,
        timezone=timezone,
        is_admin=is_admin,
        role=role,
        rights=MappingProxyType(dict(rights or {})),
    )


SEEDS: tuple[PortalSeed, ...] = (
    PortalSeed(
        domain="acme.flowlu.com",
        title="Acme Studio",
        account_id="10421",
        users=(
            _user(
                1,
                "Ada",
                "Okafor",
                "Portal administrator",
                username="ada@acme.example",
                lang="en",
                timezone="Europe/London",
                is_admin=True,
            ),
            _user(
                2,
                "José",
                "Núñez",
                "Sales",
                username="jose@acme.example",
                lang="es",
                timezone="Europe/Madrid",
                rights={"crm": "full", "task": "full"},
            ),
            _user(
                3,
                "Мария",
                "Кузнецова",
                "Finance: may read CRM, not change it",
                username="maria@acme.example",
                lang="ru",
                timezone="Europe/Belgrade",
                second="Сергеевна",
                rights={"crm": "read", "fin": "full", "task": "full"},
            ),
            _user(
                4,
                "Tom",
                "Whitfield",
                "Designer: no CRM rights",
                username="tom@acme.example",
                lang="en",
                timezone="America/New_York",
                rights={"task": "full", "st": "read"},
            ),
            _user(
                5,
                "Łucja",
                "O'Brien-Żak",
                "Trainee: no rights in any module",
                username="lucja@acme.example",
                lang="en",
                timezone="Europe/Warsaw",
            ),
        ),
        organisations=(
            "Northwind Traders",
            "Blue Harbour Coffee",
            "Kestrel Logistics",
            "Granite & Pine Joinery",
            "Oakfield School",
            "Lumen Dental Care",
            "Marlowe Books",
            "Saltmarsh Brewery",
            "Peregrine Cycles",
            "Halcyon Travel",
            "Foxglove Florists",
            "Ironbridge Tools",
            "Quayside Hotel",
            "Tidewater Insurance",
            "Windmill Bakery",
            "Café Añoranza",
            "Verity Accountants",
            "Silverbirch Homes",
        ),
        people=(
            "Priya Raman",
            "Daniel Ekström",
            "Zoë Müller",
            "Hugo Ferreira",
            "Niamh Gallagher",
            "Kofi Mensah",
            "Ingrid Solberg",
            "Tomasz Wójcik",
            "Amélie Laurent",
            "Rashid Khan",
            "Chloe Bennett",
            "Mateo Ibáñez",
            "Yuki Tanaka",
            "Sofia Rossi",
            "Owen Pritchard",
            "Leila Haddad",
        ),
        products=("website", "brand guide", "shop front", "booking system", "newsletter"),
        currency="EUR",
        mail_domain="customers.example",
    ),
    PortalSeed(
        domain="globex.flowlu.com",
        title="Globex Engineering",
        account_id="20877",
        users=(
            _user(
                1,
                "Henrik",
                "Sørensen",
                "Portal administrator",
                username="henrik@globex.example",
                lang="en",
                timezone="Europe/Copenhagen",
                is_admin=True,
            ),
            _user(
                2,
                "Beatriz",
                "Conceição",
                "Sales",
                username="beatriz@globex.example",
                lang="pt",
                timezone="America/Sao_Paulo",
                rights={"crm": "full", "task": "full", "fin": "read"},
            ),
            _user(
                7,
                "小明",
                "王",
                "Projects: no CRM rights",
                username="xiaoming@globex.example",
                lang="en",
                timezone="Asia/Singapore",
                name="王小明",
                rights={"task": "full", "st": "full"},
            ),
            _user(
                8,
                "Grace",
                "Adeyemi",
                "Second portal administrator",
                username="grace@globex.example",
                lang="en",
                timezone="Africa/Lagos",
                is_admin=True,
            ),
        ),
        organisations=(
            "Hydra Turbines",
            "Porto Cranes",
            "Baltic Steelworks",
            "Aurora Mining",
            "Cobalt Robotics",
            "Delta Pumps",
            "Estuary Dredging",
            "Fjord Ferries",
            "Gantry Systems",
            "Helix Compressors",
            "Isar Railways",
            "Juniper Chemicals",
            "Krona Paper Mill",
            "Lagos Power",
            "Meridian Airports",
            "Nova Semiconductors",
            "Orinoco Timber",
            "Pampas Grain Silos",
            "Ñandú Wind Parks",
            "Rhône Locks & Weirs",
        ),
        people=(
            "Astrid Lindholm",
            "Bruno Carvalho",
            "Chinedu Obi",
            "Dagny Haugen",
            "Emeka Nwosu",
            "Fátima Sousa",
            "Gustav Holm",
            "Hiroshi Sato",
            "Ilse de Vries",
            "João Pereira",
            "Karin Öberg",
            "Lars Nygård",
            "Mónica Vidal",
            "Noor Rahimi",
        ),
        products=("pump overhaul", "crane inspection", "control cabinet", "spare parts", "site survey"),
        currency="USD",
        mail_domain="partners.example",
    ),
)


def records_of(seed: PortalSeed) -> dict[tuple[str, str], dict[int, Record]]:
    """Make the portal's records anew: callers may change them."""
    accounts = [
        *(_account(seed, number, name, type_=1) for number, name in enumerate(seed.organisations, 101)),
        *(_account(seed, number, name, type_=2) for number, name in enumerate(seed.people, 201)),
    ]
    organisations = len(seed.organisations)
    tables: dict[tuple[str, str], list[Record]] = {
        ("core", "user"): [_user_record(user) for user in seed.users],
        ("crm", "account"): accounts,
        ("crm", "lead"): [
            {
                "id": 301 + n,
                "name": f"{seed.organisations[n % organisations]}: {seed.products[n % len(seed.products)]}",
                "account_id": 101 + n % organisations,
                "assignee_id": int(seed.users[n % 2].id),
                "pipeline_id": 1,
                "pipeline_stage_id": 1 + n % 4,
                "budget": f"{900 + 350 * n}.00",
                "currency": seed.currency,
                "active": (1, 1, 3, 2)[n % 4],
                "start_date": _day(n),
                **_stamps(n),
            }
            for n in range(16)
        ],
        ("crm", "pipeline"): [{"id": 1, "name": "Sales", "ordering": 1}],
        ("crm", "pipeline_stage"): [
            {"id": n, "name": name, "pipeline_id": 1, "ordering": n}
            for n, name in enumerate(("New", "Talking", "Offer sent", "Agreed"), 1)
        ],
        ("crm", "source"): _named("Recommendation", "Website", "Fair"),
        ("crm", "industry"): _named("Trade", "Services", "Manufacturing", "Public sector"),
        ("crm", "account_category"): _named("Customer", "Partner", "Supplier"),
        ("task", "tasks"): [
            {
                "id": 501 + n,
                "name": f"{('Call', 'Prepare an offer for', 'Send papers to', 'Visit')[n % 4]} {accounts[n]['name']}",
                "description": "",
                "owner_id": int(seed.users[0].id),
                "responsible_id": int(seed.users[n % len(seed.users)].id),
                "status": 1 + n % 3,
                "priority": 1 + n % 2,
                "deadline": f"{_day(n + 20)} 17:00:00",
                "crm_account_id": accounts[n]["id"],
                **_stamps(n),
            }
            for n in range(14)
        ],
        ("task", "lists"): _named("Inbox", "This week"),
        ("fin", "invoice"): [
            {
                "id": 701 + n,
                "name": f"Invoice for {seed.products[n % len(seed.products)]}",
                "number": f"{seed.domain[0].upper()}-2026-{n + 1:03d}",
                "customer_id": 101 + n % organisations,
                "total": f"{480 + 125 * n}.50",
                "currency": seed.currency,
                "status": 1 + n % 3,
                "invoice_date": _day(n),
                "due_date": _day(n + 14),
                **_stamps(n),
            }
            for n in range(12)
        ],
        ("fin", "bank_account"): [{"id": 1, "name": "Main account", "currency": seed.currency, "balance": "18240.75"}],
        ("st", "projects"): [
            {
                "id": 901 + n,
                "name": f"{seed.products[n % len(seed.products)].capitalize()} for {seed.organisations[n]}",
                "description": "",
                "manager_id": int(seed.users[-1].id),
                "customer_id": 101 + n,
                "stage_id": 1 + n % 3,
                "startdate": _day(n),
                "enddate": _day(n + 60),
                **_stamps(n),
            }
            for n in range(7)
        ],
    }
    return {key: {int(record["id"]): record for record in records} for key, records in tables.items()}


def _account(seed: PortalSeed, number: int, name: str, *, type_: int) -> Record:
    slug = "".join(char for char in name.lower() if char.isascii() and char.isalnum())
    mailbox = f"office@{slug}" if type_ == 1 else f"{slug}@mail"
    return {
        "id": number,
        "type": type_,
        "name": name,
        "email": f"{mailbox}.{seed.mail_domain}",
        # 555-01xx is kept free for examples.
        "phone": f"+1 202 555 01{number % 100:02d}",
        "web": f"https://{slug}.{seed.mail_domain}" if type_ == 1 else "",
        "address": f"{number % 90 + 1} High Street",
        "owner_id": int(seed.users[number % 2].id),
        "account_category_id": 1 + number % 3,
        "industry_id": 1 + number % 4,
        "active": 1,
        **_stamps(number % 60),
    }


def _user_record(user: User) -> Record:
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "first_name": user.first_name,
        "second_name": user.second_name,
        "last_name": user.last_name,
        "lang_id": user.lang_id,
        "timezone": user.timezone,
        "image": "",
        "last_active": f"{_day(40)} 09:30:00",
        "register_date": f"{_day(int(user.id))} 08:00:00",
        "birth_date": None,
        "role_admin": 1 if user.is_admin else 0,
        "role_login": 1,
    }


def _named(*names: str) -> list[Record]:
    return [{"id": number, "name": name} for number, name in enumerate(names, 1)]


def _day(offset: int) -> str:
    return (_FIRST_DAY + timedelta(days=offset)).isoformat()


def _stamps(offset: int) -> dict[str, str]:
    return {"created_date": f"{_day(offset)} 09:00:00", "updated_date": f"{_day(offset)} 15:45:00"}
