"""Identifiers that have a shape: dates, times, great ages, telephones, addresses, numbers of people and of machines.

Each pattern's group `it`, or else its whole match, is what must go. Names of people are left to `person_names`.
Measurements, levels, scores, relative times and numbers of slices have other shapes and stay: tests list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from indexer.known_words import known_words


class Kind(StrEnum):
    """What was taken out; the placeholder is its name in square brackets."""

    NAME = "name"
    DATE = "date"
    AGE = "age"
    CONTACT = "contact"
    PLACE = "place"
    NUMBER = "number"


PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(Kind)})\]")


@dataclass(frozen=True, slots=True)
class Span:
    start: int
    end: int
    kind: Kind


_DASH = r"[-\u2010-\u2015]"
_GAP = r"[^\S\n]"  # white space within a line
_DAY = r"(?:[12]\d|3[01]|0?[1-9])"
_MONTH = r"(?:1[0-2]|0?[1-9])"
_YEAR = r"(?:19|20)\d\d"
_LONG_MONTHS = "January|February|March|April|June|July|August|September|October|November|December"
_SHORT_MONTHS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
_NAMED = rf"(?:{_LONG_MONTHS}|May|(?:{_SHORT_MONTHS})\b\.?)"
_NAMED_ANY_CASE = rf"(?i:{_NAMED})"
_ORDINAL = rf"{_DAY}(?:st|nd|rd|th)?"
_CLOCK = r"(?:[01]?\d|2[0-3])"
_UNITS = (
    r"(?:ms|msec|s|sec|mm|cm|m|ml|l|cc|hz|khz|mhz|hu|mg|µg|μg|ug|g|kg|mmol|mol|t|tesla|gy|mgy|mci|mbq|kbq|years?"
    r"|yrs?|months?"
    r"|weeks?|days?|hours?|minutes?|voxels?|pixels?|slices?|images?|patients?|cells|copies|x|×|%|units?|iu|bp|kb)"
)

_DATES = (
    # 2019-03-12, also with a time; 12/03/2019, 3.12.19; 20190312; 03/2019
    rf"(?<![\d.]){_YEAR}(?P<a>[-/.])(?:{_MONTH})(?P=a)(?:{_DAY})(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?"
    rf"\d\d)?)?(?![\d.]\d)",
    rf"(?<![\d./-])(?:{_DAY})(?P<b>[-\u2010-\u2013/.])(?:{_DAY})(?P=b)(?:{_YEAR}|\d\d)(?![\w/]|[.-]\d"
    rf"|{_GAP}?(?i:{_UNITS})\b)",
    rf"(?<![\d./-]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d(?:[0-5]\d)?)?(?![\d/-]|\.\d)",
    rf"(?<![\d./-]){_MONTH}[/-]{_YEAR}(?![\d/-])|(?<![\d./-]){_YEAR}[/]{_MONTH}(?![\d/-])",
    # 12 March 2019, 12th of March, 12-Mar-19; "3 may" is a date with a capital or a year only
    rf"(?<![\d.]){_ORDINAL}[ ./-]{{0,2}}(?:of )?(?:{_NAMED_ANY_CASE})[,. /-]{{0,2}}(?:{_YEAR}|['’]?\d\d(?!\d))",
    rf"(?<![\d.]){_DAY}(?i:st|nd|rd|th)\s(?i:of\s)?{_NAMED_ANY_CASE}|(?<![\d.]){_DAY}[ -](?:(?i:{_LONG_MONTHS})|May"
    rf"|{_SHORT_MONTHS})\b",
    rf"(?<![\d-]){_YEAR}[ ](?:{_SHORT_MONTHS}|May)\b",
    # March 12th, 2019; March 2019; Mar-19
    rf"\b{_NAMED_ANY_CASE}[ -]{_ORDINAL}(?!\d|[.]\d|{_GAP}?(?i:{_UNITS})\b)(?:,?\s{{1,2}}{_YEAR}|,?\s['’]\d\d)?(?<!ma"
    rf"y \d)(?<!may \d\d)",
    rf"\b{_NAMED_ANY_CASE}[,. '’/-]{{1,2}}(?:of )?(?:{_YEAR}|(?<=[-'’/])\d\d)(?!\d)",
    rf"\b(?i:in|since|from|until|till|before|after|during|last|early|late|mid|next|of|through|to|by|this|and"
    rf"|between)[ -]"
    rf"(?P<it>{_LONG_MONTHS}|May)\b",
    r"\b(?P<it>(?i:mon|tues|wednes|thurs|fri|satur|sun)day)s?\b",
    rf"(?i:\b(?:dated?|on(?:\sthe)?|since)\s(?P<it>{_DAY}[/.]{_MONTH}))(?![\d/.]*\d|{_GAP}*(?i:images?|slices?|scale"
    rf"|points?|{_UNITS}\b))",
    r"(?i:\b(?:dob|d\.o\.b\.?|born|date of birth|birth ?date|exam(?:ination)? date|date of (?:exam|study|scan"
    r"|report)\w*|study date|date)"
    r"\b(?:\s(?:on|is|was))?\s*[:=]?\s*)(?P<it>\d[\d./ -]{2,9}\d)",
    # Times of the day
    rf"(?<![\d:.])(?:{_CLOCK}(?=:\d\d{_GAP}?[AaPp]\.?[Mm]\b|:\d\d:\d\d)|(?:[01]\d|2[0-3])|(?<=[Aa]t )\d):[0-5]\d(?::["
    rf"0-5]\d(?:\.\d+)?)?(?:{_GAP}?(?i:[ap]\.?m\b\.?|h(?:rs?|ours?)?\b|uhr\b|[A-Z]{{3}}\b(?<=GMT|UTC|BST|CET"
    rf"|EST)))?(?![\d:]|[.,]\d)",
    rf"(?<![\d:.,-])(?:0?[1-9]|1[0-2])(?:[.:][0-5]\d)?{_GAP}?(?:[ap]\.m\.|[ap]m\b|[AP]M\b)",
    rf"(?<![\d:.])(?:[01]\d|2[0-3])[.h]?[0-5]\d{_GAP}?(?i:hrs?|hours|h|uhr)\b",
)  # fmt: skip
_AGES = (
    r"(?<![\d.])(?P<it>9\d|1[0-2]\d)(?=[- ]?(?i:years?|yrs?|y/?o\b|y\.o\.?|yo\b|y\b)[- ]?(?i:old|of age|o\b|[mf]\b"
    r"|male|female|man|woman|lady|gentleman|patient)?)",
    r"(?i:\bage[ds]?\b\s*(?:of|is|was|:|=|-)?\s*)(?P<it>9\d|1[0-2]\d)(?!\d|[.,]\d|%)",
    r"(?<![\d./<>≥≤])(?P<it>9\d|10\d)(?=[MF]\b)",
    r"(?i:\b(?P<it>ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?|(?:one"
    r"|a) hundred(?: and \w+)?))(?=[- ]year)",
)
_CONTACTS = (
    r"(?<![\w.+%-])[\w.+%-]{1,64}\s?@\s?[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
    r"\b(?i:https?|ftp|dicom|file)://[^\s<>\"')\]]+|\b(?i:www)\.[^\s<>\"')\]]+",
    r"\b(?<![a-z0-9-])(?:[a-z0-9-]{1,63}\.){1,6}(?:com|org|net|edu|gov|info|co\.uk|ac\.uk|org\.uk|nhs\.uk"
    r"|nhs\.net)\b(?:/[^\s<>\"')\]]*)?",
    rf"(?i:\b(?:tele?(?:phone)?|phone|ph(?=\.?:)|fax|mobile|mob|cell|pager|bleep|beeper|hotline|extension|ext"
    rf"|call(?:ed|back)?|contact|dial|ring)\b"
    rf"[.:#]*\s*(?:(?:no|number|nr|at|on|is|me|us|back)\b[.:]?\s*){{0,3}})(?P<it>[+(]?(?=(?:[^\n\d]?\d){{4}})\d(?:[\d"
    rf"()./ \u2010-\u2015-]{{2,18}})\d)(?!\d|{_GAP}?(?i:{_UNITS})\b)",
    rf"(?i:\b(?:tel|telephone|phone|fax|telefax|mobile|reception|queries|results line|call back|called back"
    rf"|secretary|switchboard|helpline|hotline|bleep|pager)\b)[^\n\d]{{0,40}}?"
    rf"(?P<it>(?!\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{2,4}})[(+]{{0,2}}(?=(?:[()./ \u2010-\u2015-]{{0,3}}\d){{6}})\d[\d()."
    rf"/ \u2010-\u2015-]*\d)(?!\d|{_GAP}?(?i:{_UNITS})\b)",
    r"\(\+\d{1,3}\)[ ./-]?\d[\d ./-]{4,16}\d",
    r"(?<=\d{4}) ?(?:x|ext\.?|extension) ?\d{2,6}\b",
    r"(?<![\w.])(?:\+|00)(?=(?:[ ()./\u2010-\u2015-]{0,2}\d){8})[1-9]\d{0,2}[ ./-]?(?:\(\d{1,4}\)[ ./-]?)?\d{1,5}(?:["
    r" ./\u2010-\u2015-]?\d{2,5}){1,5}(?![\w.]\d|\d)",
    rf"(?<![\w.])\(\d{{2,5}}\){_GAP}?\d{{2,4}}(?:[ ./\u2010-\u2015-]?\d{{2,4}}){{1,3}}(?!\d)",
    r"(?<![\w.])0\d{2,4}(?:\s?[ /\u2010-\u2015-]\s?\d{2,8}){1,3}(?![\w.]?\d)",
    # Groups of digits with a stroke or a bracket between them, eight digits or more
    r"(?<![\w./:-])(?=[\d()]{2,7}[)/ -])(?=(?:[ ()/-]{0,3}\d){8,15}(?![\d ()/-]*\d))(?=[\d ]*[()/-])(?=\(?\d+\D+\d+\D"
    r"+\d|\(\d+\)|0\d)\(?\d{2,5}\)?(?:[ /-]{1,2}\d{2,8}){1,4}(?![\d:(])",
    r"(?<![\w.])0\d(?:[ .-]\d\d){4}(?!\d)|(?<![\w.])0\d[ -]\d{4}[ -]\d{4}(?!\d)",
    r"(?<![\w.])(?:1[-. ])?\d{3}(?P<c>[-. \u2010-\u2013])\d{3}(?P=c)\d{4}(?:\s?(?i:x|ext\.?)\s?\d{1,6})?(?!\d)",
    r"(?<!\d)(?<!\d\.)(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?!\.?\d)",
)  # fmt: skip
_WAYS = (
    "Street|St|Road|Rd|Avenue|Ave|Av|Lane|Ln|Drive|Close|Court|Ct|Way|Crescent|Cres|Place|Square|Sq|Boulevard|Blvd"
    "|Terrace|Gardens|Grove|Hill|Parkway|Pkwy|Highway|Hwy|Mews|Row|Walk|Rise|View|Green|Trail|Plaza|Loop|Path|Pike|Park"
    "|Circle|Crossing|Landing|Junction|Estates?|Villages?|Springs?|Valley|Creek|Bridge|Station|Gate|Gardens?|Fields?"
    "|Harbou?r|Island|Lake|Mill|Orchard|Roads|Drives"
    "|Alley|Bypass|Common|Quay|Wharf|Parade|Esplanade|Turnpike|Expressway|Freeway|Ridge|Heights|Manor|Meadow|Meadows"
)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR"
    "|PA|RI|SC"
    "|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|NSW|VIC|QLD|ACT|TAS|NT|SA|ON|QC|BC|AB"
)
_PROPER = r"(?:St\.|Ste\.|Mt\.|[A-Z]\.|(?<![\w'’-])[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’-]{0,40})"
_HOUSES = (
    "Hospital|Hospitals|Infirmary|Clinic|Clinics|Polyclinic|Sanatorium|Hospice|Medical Cent(?:er|re)"
    "|Health Cent(?:er|re)"
    "|Health(?:care)? (?:System|Trust|Board|Group|Services?)|(?:NHS )?(?:Foundation )?Trust|University"
    "|Medical School|Institute"
    "|Medical College|Nursing Home|Care Home|Imaging Cent(?:er|re)|Radiology (?:Associates|Group|Partners|Cent(?:er"
    "|re))|Imaging"
    " (?:Associates|Group|Partners)|Surgery|Medical (?:Practice|Group|Associates)|Prison|Kliniken"
)
_PLACES = (
    rf"\b\d{{1,5}}[A-Za-z]?(?:[-/]\d+[A-Za-z]?)?,?{_GAP}+(?:(?:[NSEW]\.?|North|South|East"
    rf"|West)\s)?(?:{_PROPER}{_GAP}+){{1,4}}(?:{_WAYS})\b\.?"
    rf"(?:,?{_GAP}+(?i:apt|apartment|unit|suite|flat|ste|floor|piso|puerta|etage|app|apto|bl|bloque"
    rf"|m)\.?{_GAP}*#?\w+)?",
    rf"\b\d{{1,5}}{_GAP}+(?:[A-Z]{{3,}}{_GAP}+){{1,3}}(?:{_WAYS.upper()})\b\.?",
    r"\b(?<![\w-])[A-ZÄÖÜ][\wäöüß-]{0,40}(?:straße|strasse|str\.|weg|gasse|platz|allee|damm|ufer|straat|laan|gracht"
    r"|vej|gade|gatan"
    r"|vägen|utca)\s\d{1,4}\s?[a-z]?\b",
    r"\b(?:[A-ZÄÖÜ][\wäöüß]*-){1,3}(?:Straße|Str\.|Weg|Gasse|Platz|Allee|Ring|Damm|Ufer)\s\d{1,4}\s?[a-z]?\b",
    r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s(?i:rue|avenue|boulevard|place|chemin|allée|impasse|quai|route"
    r"|cours)\s(?:(?:de|du|des|la|le|l['’]|d['’])\s?){0,2}"
    rf"{_PROPER}(?:\s{_PROPER})*",
    rf"\b(?:Via|Viale|Piazza|Corso|Vicolo|Borgo|Contrada|Rotonda|Stretto|Calle|Avenida|Avda\.?|Plaza|Paseo|Pasaje"
    rf"|Ronda|Camino|Cañada|Glorieta|Travesía"
    rf"|Cuesta|Callejón|Alameda|Rambla|Acceso|Vial|Rua|Rúa|Travessa|Praça|Estrada|Rodovia|Largo|Strada|Aleea"
    rf"|Bulevardul|Intrarea|Carrer|Jalan|Jl\.|Gang|Gg\.|[Uu]lica|[Aa]leja|[Pp]lac|(?:ul|al|os|pl|Al|Ul)\.)\s(?:(?:de"
    rf"|del|della|di|dei|da|do|la|el|los|las)\s){{0,2}}"
    rf"{_PROPER}(?:\s{_PROPER}){{0,3}},?\s(?:n[.º°]?\s?)?\d{{1,4}}\b(?:,?\s(?i:piso|puerta|apto|appartamento|int|bl"
    rf"|bloque|esc|ap|sc|et)\.?\s?\w+)*",
    r"\b(?i:p\.?\s?o\.?\s?box|postfach|apartado|boîte postale|b\.p\.)\s*#?\d+",
    r"\b(?:Flat|Apt\.?|Apartment|Suite|Unit|House|Room|Rm\.?|Bed|Bay|Ward|Floor|WARD|ROOM|BED)\s#?(?:No\.?\s)?(?:\d+["
    r"A-Za-z]?|[A-Z]\d{1,3}|[A-Z])\b",
    r"(?i:\b(?:(?:home |postal |street |mailing )?addr(?:ess|\.)?|(?:gp )?(?:surgery|practice)|residence|town"
    r"|city)\s*[:=]\s*)(?P<it>[^\n;]{4,120}(?:\n(?:[A-Z]{1,2}-)?\d{4,6} [^\n;:]{2,40}(?=\n|$))?)",
    rf"(?im:^{_GAP}*(?:home |postal |street |mailing )?address{_GAP}+)(?P<it>(?=\w*\d|[A-ZÀ-Ž])[^\n;]{{4,120}})",
    rf"(?i:\b(?:(?:home|postal|mailing|street|private|current) address(?: is| of)?|(?:lives|lived|living|resid(?:es"
    rf"|ed|ing)|domiciled|resident)(?: at| in| of)|resident)\s)"
    rf"(?P<it>(?=[A-ZÀ-ÖØ-ÞĀ-Ž\d]|rue|boulevard|avenue)(?:(?:[A-ZÀ-ÖØ-ÞĀ-Ž\d#(][\w'’/#)-]*|(?:de|la|le|du|des|del|da"
    rf"|do|das|dos|di|am|an|bei|sur|upon|on|of|the|nad|pod|rue|boulevard|avenue|al|el|los|las)\b)"
    rf"(?:(?:(?<=\b[A-Z][a-z])\.|,)?{_GAP}+(?=[\w#(])|(?=[^\w\s]|\s|$))(?<!^)){{1,14}})",
    # Post codes: United Kingdom, United States after a state, Canada, a number and a town after a comma
    r"\b(?!(?:C|T|L|S|B)\d \d(?:ST|ND|RD|TH)\b)(?:GIR ?0AA|[A-PR-UWYZ](?:\d[\dA-HJKPSTUW]?|[A-HK-Y]\d[\dABEHMNPRVWXY]"
    r"?) \d[ABD-HJLNP-UW-Z]{2})\b",
    rf"(?:{_PROPER}(?:{_GAP}{_PROPER}){{0,2}},?{_GAP})?\b(?:{_STATES}),?{_GAP}\d{{5}}(?:-\d{{4}})?\b",
    r"\b\d{5}-\d{4}\b",
    r"\b[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z] \d[ABCEGHJ-NPRSTV-Z]\d\b",
    rf",{_GAP}?(?P<it>(?:[A-Z]{{1,2}}-\d{{4}}|\d{{5}}){_GAP}[A-ZÀ-ÖØ-Þ][a-zà-ÿ]+(?:[ -][A-ZÀ-ÖØ-Þ][a-zà-ÿ]+)?)",
    # Houses: "Leeds General Infirmary", "Hospital de São José", "Klinikum rechts der Isar"
    rf"\b(?:{_PROPER}{_GAP}(?:(?:of|and|the|for|&|at|in|on|upon|de|du|der|la|le|les|am|an|bei|sur|nad"
    rf"|pod){_GAP}){{0,2}}){{1,6}}(?:{_HOUSES})\b(?:{_GAP}of{_GAP}{_PROPER}(?:{_GAP}{_PROPER}){{0,2}})?",
    rf"(?<![\w'’.-])(?:[A-Z'’.-]{{2,40}}{_GAP}){{1,5}}(?:HOSPITAL|INFIRMARY|CLINIC|MEDICAL CENT(?:ER|RE)|UNIVERSITY"
    rf"|TRUST)\b",
    rf"\b(?:Hospital|Hôpital|H[oô]pitaux|Ospedale|Clinica|Clínica|Clinique|University|Université|Universität"
    rf"|Universidad|Institut|Instituto|Centre Hospitalier|CHU|Charité|Policlinico)"
    rf"{_GAP}(?:(?:of|de|di|da|do|du|del|della|la|le|universitaire|für|San|Santa){_GAP}){{0,3}}{_PROPER}(?:[ -]"
    rf"{_PROPER}){{0,3}}",
    r"(?<!\w)\w{0,40}(?:[Kk]linikum|[Kk]rankenhaus|[Zz]iekenhuis|[Ss]jukhus|[Ss]ykehus)\b(?:\s(?:(?:der|des|rechts"
    r"|am|im"
    r"|an)\s){0,2}[A-ZÄÖÜ][\wäöüß]+){0,2}",
)  # fmt: skip
_VALUE = r"(?P<it>(?=[\w./-]*\d)[A-Z0-9][A-Z0-9./-]*[A-Z0-9](?: \d{3,4}){0,3})"
_LONG_VALUE = r"(?P<it>(?!(?:BP|HR|RR)\d)(?=(?:[A-Z./-]*\d){4})[A-Z0-9][A-Z0-9./-]*[A-Z0-9](?: \d{3,4}){0,3})"
_NUMBERS = (
    r"(?<![\w.])[0-2](?:\.\d{1,40}){4,}(?![\w.]*\w)",
    r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)|(?<![\d.])\d{3} \d{3} \d{4}(?!\d)",
    rf"(?i:\b(?:mrn|m\.r\.n\.?|nhs|ssn|chi|mpi|upi|urn|hosp(?:ital)?|patient|pt|acc(?:ession)?|episode|encounter"
    rf"|visit|account|acct|chart|medical record|med rec|unit record"
    rf"|insurance|policy|member|passport|social security|national insurance|ni|licen[cs]e|lic|gmc|npi|hcpc"
    rf"|registration|reg|serial|device|scanner|implant|station|order|requisition|req|request|booking"
    rf"|report|exam|examination|study|case|record|file|job|document|doc|ref|reference|identification|identity|id"
    rf"|dicom|x-?ray|film|folder|archive|tracking)"
    rf"(?:\s(?:identification|identifier|reference|record|serial|insurance|security|medical|patient|study))?"
    rf"\s?(?:(?:no|num|number|nr|n°|nº|#|id|i\.d\.|code|uid|identifier|s/n)\b[.:#]?|[:#])\s*(?:is\s|was\s|[:#=]\s*)?)"
    rf"{_LONG_VALUE}",
    rf"(?i:\b(?:mrn|nhs|ssn|chi|accession|s/n|sn|uid|serial)\b\s?[:#=]?\s?(?:no\.?|number|is|was)?\s?){_VALUE}",
    r"#\s?(?P<it>(?=[A-Z0-9-]*\d{4})[A-Z0-9-]{4,})",
    # Letters and digits together, and long numbers; a b-value, an echo time or a size with its unit is neither
    rf"\b(?!(?i:b|tr|te|ti|fa|ms|fov|bval|suv)=?\d+\b)(?![\d.,]{{1,20}}{_GAP}?(?i:{_UNITS})\b)(?=[A-Za-z0-9]{{0,40}}["
    rf"A-Za-z])(?=[A-"
    rf"Za-z]*\d)[A-Z0-9][A-Za-z0-9]{{0,40}}\d{{5,}}[A-Za-z0-9]{{0,40}}\b",
    r"\b[A-Z]{1,5}[-/_]?\d{2,4}[-/_](?:[A-Z]{1,4}[-/_]?)?\d{3,}\b|\b[A-Z]{2,5}[-_/]\d{4,}\b|\b\d{2,4}[-/](?:0\d{3,}"
    r"|\d{5,})\b|\b\d{5,}[-/]\d{1,4}\b|\b[A-Z]{1,3}\d{2,}[-/]\d{3,}\b",
    rf"(?<![\w.,])(?<![\d]×)\d{{6,}}(?![.,]?\d)(?!{_GAP}?/|{_GAP}?(?i:{_UNITS})\b)(?![\w×])|(?<![\d.])\d{{7,}}(?!\d)",
    r"\b[A-Z]{2}\d{6}[A-D]?\b|\b[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]\b",
)  # fmt: skip
_PATTERNS = tuple(
    (kind, re.compile(pattern))
    for kind, patterns in (
        (Kind.CONTACT, _CONTACTS),
        (Kind.NUMBER, _NUMBERS),
        (Kind.DATE, _DATES),
        (Kind.PLACE, _PLACES),
        (Kind.AGE, _AGES),
    )
    for pattern in patterns
)
# Words before a number that say it is none of a person: "matrix 256", "ratio of 1:20".
_NOT_A_TIME = re.compile(r"(?i:ratio(?: of)?|dilution(?: of)?|scale(?: of)?)\s?$")
# "A general hospital" and "Outside Hospital" name no house.
_NO_HOUSE = re.compile(
    r"(?:(?:The|A|An|Our|This|That|Their|Outside|Local|Another|Referring|General|District|Regional|Teaching"
    r"|Community|University"
    r"|Day|Tertiary|Private|Public|Children|Rehabilitation|Eye|Cardiac|Stroke|Memory|Pain|Outpatient|Neurosurgery"
    r"|Neurology"
    r"|Surgery|Hospital|Clinic|Trust|Institute|Brain|Spinal|Spine|Previous|Prior|Post|Elective|Emergency|Skull|Base"
    r"|Orthop[a-z]+|Head|Neck|Laser|Plastic"
    r"|Urgent|Revision|Status|No|Recent|Endoscopic|Oncology|Open|Bypass|Valve|Hip|Knee|Eye|Sinus|Dental|Oral"
    r"|Vascular|Thoracic|Abdominal|Since|After|Before|For)\s?)+"
)

_KIND_OF_HOUSE = re.compile(r"(?:Clinics?|Surgery|Institute|Trust|Imaging \w+|Health \w+)$")


def shaped_identifiers(text: str) -> Iterator[Span]:
    """Where identifiers with a shape stand; spans may overlap."""
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            group = "it" if "it" in pattern.groupindex and match["it"] is not None else 0
            start, end = match.span(group)
            if kind is Kind.DATE and ":" in match[group] and _NOT_A_TIME.search(text[max(0, start - 14) : start]):
                continue
            if kind is Kind.PLACE and _names_no_house(match[group]):
                continue
            yield Span(start, start + len(text[start:end].rstrip()), kind)


def _names_no_house(place: str) -> bool:
    """Whether a place is of a kind that every town has: "the Stroke Clinic", "Outside Hospital"."""
    if _NO_HOUSE.fullmatch(place):
        return True
    lists = known_words()
    words = re.findall(r"[^\W\d_]{3,}", place)
    return bool(_KIND_OF_HOUSE.search(place)) and all(lists.knows(word) and not lists.is_name(word) for word in words)
