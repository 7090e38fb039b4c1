"""What stands around names in reports: titles, labels, verbs, letters of degrees; and around eponyms: their heads.

Patterns only; how they are weighed is left to `person_names`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files

_GAP = r"[^\S\n]"
# A doctor's title may stand at the end of a wrapped line.
TITLE = re.compile(
    r"(?<![\w-])(?:[Dd]rs?|[Pp]rof|[Pp]rofessor|[Dd]octor|Mr|Mrs|Ms|Miss|Mx|Messrs|Sir|Dame|Lord|Lady|Sister|Matron"
    r"|Rev|Fr"
    r"|[Nn]urse|Capt|Col|Lt|Sgt|Herr|Frau|Madame|Mme|Mlle|Monsieur|Sra?|Srta|Señora?|Sig(?:\.ra|na)?|Signora?"
    r"|Dott(?:\.ssa)?|Dra?|Dres|Mevr|Dhr|Fru"
    r"|Hr|Univ|Priv|PD|Consultant|Radiologist|Neuroradiologist|Neurosurgeon|Neurologist|Radiographer|Technologist"
    r"|Sonographer|Registrar|Surgeon|Physician)\b"
    rf"\.?(?:-?(?:Ing|Prof|Dr|Med|med|Univ|Doz)\.?|{_GAP}+(?:Dr|Prof|med|Med|habil|hc)\.?)*(?=[\s(])"
)
SHOUTED_TITLE = re.compile(r"(?<![\w-])(?:DRS?|PROF|PROFESSOR|DOCTOR|MR|MRS|MS|MISS|SIR|NURSE)\b\.?(?=\s)")

_PEOPLE = (
    r"radiologist|neuroradiologist|radiographer|technologist|technician|sonographer|operator|consultant|attending"
    r"|resident|registrar|fellow|physician|clinician"
    r"|doctor|surgeon|neurosurgeon|neurologist|oncologist|gp|general practitioner|provider|practitioner|nurse"
    r"|trainee|staff|author|typist|transcriptionist|secretary"
)
_DONE = (
    r"reported|dictated|verified|signed|e-?signed|electronically (?:signed|verified|approved)|authori[sz]ed|approved"
    r"|read|double[- ]read|interpreted|transcribed|typed"
    r"|reviewed|performed|referred|requested|ordered|checked|validated|finali[sz]ed|attested|prepared|supervised"
    r"|co-?signed|addended|scanned|acquired|entered|completed"
)
_OWN = (
    r"name|patient(?:'s)?(?: name)?|pat\. ?name|pt(?:\.| name)?|full name|surname|last name|family name|first name"
    r"|forenames?|given names?|middle name|maiden name|alias|aka|client"
    r"|next of kin|nok|mother|father|spouse|wife|husband|son|daughter|guardian|carer|parent|emergency contact"
    r"|contact(?: person)?|insured|subscriber|employer"
)
_VALUE = (
    rf"(?P<it>[^\n;|]{{2,90}}?)"
    rf"(?={_GAP}{{3,}}|\t|[;|\n]|$|(?<=[^\W\d_]{{2}})\.(?:\s|$)|{_GAP}(?:[A-Z][\w/-]*{_GAP}?){{1,3}}:)"
)
LABEL = re.compile(
    rf"(?im)(?<![\w-])(?:(?P<person>(?P<sure>(?:(?:full|patient(?:'s)?|pt\.?|pat\.?|last|first|family|given|middle"
    rf"|maiden|client(?:'s)?)\s|(?<!\w\s))(?:sur|fore)?name)|{_OWN})|(?:(?:{_DONE})\s+(?:on\s+\S+\s+)?by"
    rf"|(?:(?:reporting|referring|requesting|ordering"
    rf"|attending|responsible|primary|supervising|interpreting|treating|admitting|family|consulting|dictating"
    rf"|signing|assistant|senior"
    rf"|junior|lead|staff|second|first|reading)\s+)?(?:{_PEOPLE})(?:\(s\)|s)?(?:\s+name)?|referrer|referral"
    rf"|referred from|cc|copy to"
    rf"|copies to|c\.c\.|attn|attention|dear|sincerely|regards|signature|signed|dictated|transcribed))(?:{_GAP}*[:=]"
    rf"{_GAP}*|{_GAP}[-–]{_GAP}|(?<=name){_GAP}+(?-i:(?=[A-ZÀ-Ž]))){_VALUE}"
)
_FILLERS = (
    r"(?:(?:the|our|your|duty|on-?call|referring|reporting|treating|attending|consultant|senior|junior|primary"
    r"|specialist|clinical"
    rf"|neuro|family|colleague|team|(?:{_PEOPLE})|dr|prof|mr|mrs|ms|and)\b[.,]?{_GAP}*)*"
)
MENTION = re.compile(
    rf"(?i:(?<![\w-])(?:(?:{_DONE}|seen|examined|assessed|operated|treated|consented|counsel+ed|discussed|agreed"
    rf"|confirmed|communicated|conveyed|telephoned|phoned|faxed"
    rf"|e-?mailed|relayed|given|reported|notified|informed|addressed|sent|shown|presented|attended|accompanied|care"
    rf"|d/w|dw|per|via|acknowledged|written|edited)"
    rf"(?:\s+(?:on|off|out|verbally|personally|directly|again|today|results?|findings?|over the (?:tele)?phone"
    rf"|by (?:tele)?phone|in person|back|\[\w+\]|\S*\d\S*)){{0,4}}"
    rf"\s+(?:by|with|to|under|from)|care of|informed|notified|called|phoned|telephoned|paged|contacted|bleeped|d/w"
    rf"|attn|dear|regards,?|sincerely,?|signed,?"
    rf"|thank you,?|thanks,?|named|surnamed|called|cc|nee|née|aka|alias|c/o|(?:his|her|their|the patient['’]s"
    rf"|'s)\s+(?:wife|husband|son|daughter|mother|father|brother|sister"
    rf"|partner|aunt|uncle|cousin|carer|guardian|friend|mum|dad|grandmother|grandfather|niece|nephew),?|(?:wife"
    rf"|husband|son|daughter|mother|father|brother|sister|carer|guardian|daughter of"
    rf"|son of|baby|infant|child|twin|patient|pt|client|gentleman|lady|relative)(?:\s+(?:is|named|called|of"
    rf"|was))?)(?:\s+|\s*[(]\s*){_FILLERS})(?=[(\"]?(?:(?:van|von|de|der|den|di|da|del|bin|al|el)\s)*[A-ZÀ-ÖØ-ÞĀ-Ž])"
)
# Behind these a capitalised word is a name, whatever it means: "her husband, Line".
RELATION = re.compile(r"(?i:\b(?:wife|husband|son|daughter|mother|father|brother|sister|partner)),?\s+$")
CREDENTIALS = re.compile(
    r",?\s{0,3}\(?\b(?:M\.?D\.?|FRCR|FRCP[CE]?|FRCS(?:\(SN\)|Ed)?|FRANZCR|FRACP|FRACS|MBBS|MB\s?BS|MB\s?ChB|MBChB"
    r"|MB\s?BCh|MRCP|MRCS|MRCPsych|Ph\.?D\.?|FACR|DABR|FFRRCSI|FFR|DMRD|EDiR"
    r"|EDiNR|D\.O\.|R\.N\.|PA-C|CRNP|FNP|ARRT|RT\(R\)(?:\(MR\))?|B\.?Sc\.?|M\.?Sc\.?|MHS|MPH|DNB|DMRE"
    r"|Consultant (?:Neuro)?[Rr]adiologist|[Cc]onsultant [Nn]euro\w+|[Ss]pecialist [Rr]egistrar"
    r"|Neuroradiologist|Radiologist|Radiographer)(?!\w)|,\s*(?:DO|RN|NP|PA|RT|SpR|ST\d|CT\d|FY\d|MS|BS|BA|MA)\b(?=[\s"
    r",.;)]|$)"
)
_WORDS: Mapping[str, str] = tomllib.loads(files("indexer").joinpath("data", "name_words.toml").read_text("utf-8"))
PARTICLES = frozenset(_WORDS["particles"].split())
PREFIXES = frozenset(_WORDS["prefixes"].split())
TOWN_WORDS = frozenset(_WORDS["town_words"].split())
ROLES = frozenset(_WORDS["roles"].split())
_HEADS = (
    r"(?i:disease|syndrome|sign|signs|phenomenon|disorder|malformation|anomaly|deformity|cyst|cysts|duct|canal|cave"
    r"|foramen|foramina|fissure|sulcus|gyrus|area|nucleus|nuclei|ganglion"
    r"|bod(?:y|ies)|cells?|fib(?:re|er)s?|tract|bundle|fasciculus|plexus|triangle|point|line|angle|space|ligament"
    r"|loop|knot|ring|index|ratio|score|scores|scale|grade|grading|classification|criteria"
    r"|type|staging|stage|test|method|technique|procedure|operation|position|projection|palsy|paralysis|paresis"
    r"|fingers?|holes?|polygon|rods?|epilepsy|encephalitis|encephalopathy|dementia|ataxia|chorea|dystrophy|atrophy"
    r"|neuropathy|sclerosis"
    r"|leukodystrophy|an(?:a)?emia|thyroiditis|arteritis|contracture|fracture|fractures|hernia|reflex|law|equation"
    r"|correction|transform|formula|drain|reservoir|catheter|shunt|valve|clip|coil|frame|needle|units?|node|nodes"
    r"|granulomatosis|histiocytosis|lymphoma|neuroma|sarcoma|variant|pattern|spaces|tubercle|membrane|process|layer"
    r"|band|stripe|zone|plane|curve|virus|fever|family|images|imaging|sequences?|study|trial|model|filter|noise"
    r"|stain|staining|maneuver|manoeuvre|aphasia|aphasic)\b"
)
# "Meckel's cave", "Evans index", "Hunt and Hess grade", "Spetzler-Martin grade", "von Hippel-Lindau disease"
EPONYM_BEHIND = re.compile(
    rf"(?:['’]s?)?(?:\s(?:and|&)\s[A-Z][\w'’-]+|-[A-Z][\w'’-]+|\s[A-Z][\w'’-]+)?(?:\s[a-z-]+|\s\d{{4}})?[\s-]{_HEADS}"
)
EPONYM_BEFORE = re.compile(
    r"(?:(?i:circle|foramen|foramina|vein|canal|island|nucleus|nuclei|ganglion|sulcus|fissure|aqueduct|angle"
    r"|triangle|ligament|bodies|body|zone|area|organ|space|node|cave|tract|band|bundle|field|gyrus|sign|syndrome"
    r"|disease|disorder"
    r"|artery|tubercle|membrane|islands?|cisterna|cistern|crypts?|fasciculus|plane|stripe|line|loop|method|criteria"
    r"|classification|tetralogy|commissure|tendon|valve|point|layer|cells?|fib(?:re|er)s|torcular|torcula|recess"
    r"|lamina)"
    r"s?)\s(?:of|by)\s(?:the\s|von\s|van\s)?(?:[A-Z][\w'’-]+(?:\s(?:and|&)\s|-|,\s))?$"
    r"|(?:bacterium|genus|species)\s$"
)
