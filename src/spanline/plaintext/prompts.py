"""What servers ask, and how they answer, in the words of many languages and makers of equipment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto


class Asked(Enum):
    ACCOUNT = auto()
    SECRET = auto()
    NEW_SECRET = auto()
    COMMAND = auto()
    CHOICE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """What a server waits for.

    account  of whom the secret is, where the question says it
    """

    asked: Asked
    account: str = field(default="", repr=False)


_OTHER, _COMMAND, _CHOICE = Question(Asked.OTHER), Question(Asked.COMMAND), Question(Asked.CHOICE)

# Words that stand alone, and words that may be part of a longer one: of languages that write none apart.
_ACCOUNT = (
    r"(?<![^\W_])(?:log\s?[io]n(?:\s?(?:name|id|as))?|user\s?(?:name|id)?|account(?:\s?name)?|operator|userid"
    r"|benutzer(?:name|kennung)?|anmelde(?:name|kennung)|anmeldung|nutzer(?:name)?|kennung"
    r"|identifiant|utilisateur|nom d['’]utilisateur|compte|usuario|nombre de usuario|cuenta|utente|nome utente"
    r"|usu[aá]rio|nome de usu[aá]rio|utilizador|gebruiker(?:s?naam)?|anv[aä]ndar(?:e|namn)|bruger(?:navn)?"
    r"|bruker(?:navn)?|k[aä]ytt[aä]j[aä](?:tunnus|nimi)?|tunnus|u[zż]ytkownik|nazwa u[zż]ytkownika|u[zž]ivatel"
    r"|u[zž]ivatelsk[eé] jm[eé]no|felhaszn[aá]l[oó](?:n[eé]v)?|utilizator|nume utilizator|kullan[iı]c[iı](?: ad[iı])?"
    r"|korisni[cč]ko ime|nama pengguna|t[eê]n đ[aă]ng nh[aậ]p)"
    r"|логин|пользовател[ья]|користувача?|потребител|όνομα χρήστη|χρήστης"
    r"|用户名?|用戶名?|登录名?|登錄名?|登陆名?|登入|账号|帳號|账户|使用者(?:名稱)?|ユーザー?名?|ログイン名?|利用者名?"
    r"|사용자(?:\s?(?:이름|명|id))?|로그인|아이디|اسم المستخدم|שם משתמש|ชื่อผู้ใช้"
)
_SECRET = (
    r"(?<![^\W_])(?:pass\s?(?:word|wd|phrase|code)|passwd|pwd|pin(?:\s?code)?|secret|passwort|kennwort|geheimzahl"
    r"|mot de passe|contrase[nñ]a|clave|senha|palavra[- ]passe|parola(?: d['’]ordine)?|wachtwoord|l[oö]senord"
    r"|adgangskode|kodeord|passord|salasana|has[lł]o|heslo|jelsz[oó]|parol[aă]|[sş]ifre|lozinka|geslo|kata sandi"
    r"|m[aậ]t kh[aẩ]u)"
    r"|парол[ьа]|κωδικός|密码|密碼|口令|パスワード|暗証番号|비밀번호|암호|كلمة المرور|ססמה|סיסמה|รหัสผ่าน"
)
_FOR = r"(?:\s+(?:for|von|für|pour|de|para|di|of)\s+(?:user\s+)?['\"]?(?P<whose>[^\s'\":：]{1,64})['\"]?)?"
_WHOSE = r"(?:^|\s)(?P<owner>[^\s'’]{1,64})['’]s\s+"
_TAIL = (
    r"(?:\s+(?:eingeben|invoeren|girin(?:iz)?)|を入力(?:してください)?)?"
    r"(?:\s*\([^()]{0,40}\)|\s*\[[^\[\]]{0,40}\])?\s*[:：?>]"
)
_NEW = re.compile(
    r"\b(?:new|re-?(?:type|enter|peat)|confirm|verify|again|neues|wiederholen|nouveau|nueva|nuov[ao]|nova|confirma\w*)\b"
    r"|нов(?:ый|ая)|新|确认|再",
    re.IGNORECASE,
)
# "Last login: Thu Dec  2 21:32:59" asks nothing.
_TOLD = re.compile(
    r"\b(?:last|previous|failed|letzter?|letzte|dernière|[uú]ltim[oa]|current|logged|since|invalid|incorrect|unknown"
    r"|wrong|bad)\b|上次|最后|последний|前回",
    re.IGNORECASE,
)
_QUESTIONS = re.compile(rf"(?:{_WHOSE})?(?:(?P<secret>{_SECRET}){_FOR}|(?P<account>{_ACCOUNT})){_TAIL}", re.IGNORECASE)
_MOST_BEFORE = 80
"""Columns before the word that asks: a host's name, or "Please enter your"."""

# A C shell's prompt, and not how far something is; the view of a Comware router.
_SHELL = re.compile(r"[$#>❯»λ➜→]$|(?<!\d)%$|^\[[~*]?[^\[\]]{1,64}\]$")
_MOST_SHELL = 160
_MENU = re.compile(
    r"(?:selection|choice|option|auswahl|choix|opci[oó]n|scelta|opção|选择|選択|выбор)[^:：>]{0,30}[:：>?]\s*$"
    r"|\bTERM\s*=\s*\(|terminal type|^\W*(?:--\s*more\s*--|more\b)|press (?:any|a) key",
    re.IGNORECASE,
)


def question(text: str) -> Question | None:
    """What a line asks that was printed so far, and not to its end; None where it is empty."""
    text = text.rstrip()
    if not text:
        return None
    last = None
    for match in _QUESTIONS.finditer(text, max(0, len(text) - 2 * _MOST_BEFORE)):
        last = match
    if last is not None and last.end() == len(text) and (asked := _asked(text, last)):
        return asked
    if _MENU.search(text[-_MOST_BEFORE:]):
        return _CHOICE
    if len(text) <= _MOST_SHELL and _SHELL.search(text):
        return _COMMAND
    return _OTHER


def may_ask(text: str) -> bool:
    """Whether a line may be a question for a secret, in a language that is not known here."""
    return text.rstrip().endswith((":", "：", "?"))


def _asked(text: str, match: re.Match[str]) -> Question | None:
    before = text[: match.start()]
    if len(before) > _MOST_BEFORE:
        before = before[-_MOST_BEFORE:]
    if match["secret"]:
        if _NEW.search(before) or _NEW.search(match["whose"] or ""):
            return Question(Asked.NEW_SECRET)
        return Question(Asked.SECRET, match["whose"] or match["owner"] or "")
    if _TOLD.search(before):
        return None
    return Question(Asked.ACCOUNT)


def questions_within(text: str) -> list[tuple[Question, str]]:
    """Questions for an account or a secret in a line that was printed to its end, each with what follows it there."""
    matches = [(asked, match) for match in _QUESTIONS.finditer(text[:1024]) if (asked := _asked(text, match))]
    ends = [*(match.start() for _, match in matches[1:]), len(text)][: len(matches)]
    return [(asked, text[match.end() : end]) for (asked, match), end in zip(matches, ends, strict=True)]


_REFUSED = re.compile(
    r"(?:log\s?[io]n|logging in|authentication|authorization|validation|password check)\s+(?:has\s+|is\s+|was\s+)?"
    r"(?:incorrect|invalid|fail\w*|denied|error|rejected|refused|unsuccessful)"
    r"|fail(?:ed|ure) to (?:log|authenticate)|not (?:logged in|authenticated|authorized to log)"
    r"|(?:bad|wrong|invalid|incorrect|illegal|unknown)\s+(?:\w+\s+(?:or|and|/)\s+)?"
    r"(?:passwords?|secrets?|log[io]n|user(?:\s?name|id)?s?|credentials?|account)"
    r"|passwords?\s+(?:is\s+|was\s+|are\s+)?(?:incorrect|wrong|invalid|error|mismatch|does not match|not correct)"
    r"|access\s+(?:is\s+)?denied(?! to)|permission denied|access refused"
    r"|(?:user|account|login)\b.{0,40}\b(?:locked|disabled|expired|does not exist|not found|unknown)"
    r"|(?:too many|maximum|exceeded).{0,30}(?:attempts|tries|retries|failures)"
    r"|sorry, try again|^sorry\.?$|logon failure|authorization failure|local: authentication|^%?\s*error\b|\bERROR:"
    r"|login timed out|no such user|user rejected"
    r"|anmeldung (?:fehlgeschlagen|verweigert|ung[uü]ltig)|anmeldefehler|zugriff verweigert|zugang verweigert"
    r"|falsche[rs]? (?:passwort|kennwort|benutzer)|(?:passwort|kennwort|benutzername).{0,20}(?:falsch|ung[uü]ltig)"
    r"|ung[uü]ltige[rs]? (?:passwort|kennwort|benutzer|anmeld)"
    r"|(?:identifiant|mot de passe|connexion|authentification|utilisateur).{0,40}"
    r"(?:incorrect|invalide|échou|refus|erron)"
    r"|échec|acc[eè]s refus"
    r"|(?:usuario|contrase[nñ]a|clave|sesi[oó]n|autenticaci[oó]n|acceso|login).{0,40}"
    r"(?:incorrect[oa]|inv[aá]lid[oa]|no v[aá]lid|denegad|fall[oó]|fallid|err[oó]ne)"
    r"|(?:senha|usu[aá]rio|login|acesso|autenticação).{0,40}(?:incorret|inv[aá]lid|negad|falh|errad)"
    r"|(?:password|utente|accesso|login|autenticazione|credenziali).{0,40}(?:errat|non valid|negat|fallit|non corrett)"
    r"|(?:wachtwoord|aanmelding|toegang|login).{0,40}(?:onjuist|ongeldig|mislukt|geweigerd|fout)"
    r"|(?:l[oö]senord|inloggning|adgang|login|p[aå]logg).{0,30}(?:felaktig|misslyck|mislyk|n[aæ]gtet|feil)"
    r"|(?:has[lł]o|login|logowanie|dost[eę]p).{0,30}(?:nieprawid|b[lł][eę]dn|nie powiod|odmow)"
    r"|неверн|неправильн|ошибка (?:входа|аутентификации|авторизации)|доступ (?:запрещ|отказан)"
    r"|(?:登录|登陆|登錄|登入|认证|認證|验证|驗證|身份).{0,6}(?:失败|失敗|错误|錯誤|拒绝)"
    r"|(?:密码|密碼|口令|用户名|账号|帳號).{0,10}(?:错误|錯誤|不正确|無效|无效|不存在)"
    r"|ログイン.{0,6}(?:失敗|できません)|認証.{0,4}(?:失敗|エラー)|パスワードが(?:違|正し|間違)|로그인.{0,6}실패|인증.{0,4}실패",
    re.IGNORECASE,
)
_ACCEPTED = re.compile(
    r"\blast (?:successful |interactive )?log[io]n\b|^\W*welcome\b|logged (?:in|on)\b"
    r"|log[io]n (?:successful|succeeded|ok)"
    r"|authentication (?:successful|succeeded)|access granted|you have (?:new |no |unread )?(?:e-?)?mail|^no mail\.?$"
    r"|current number of VTY users|^--- JUNOS|^BusyBox v|^Linux \S+ \d+\.\d+|type ['\"]?(?:help|\?)|have a lot of fun"
    r"|password (?:will expire|has expired|is about to)|must change (?:your|the) password|change your password"
    r"|letzte anmeldung|letzter log|willkommen|dernière connexion|bienvenue|bienvenid"
    r"|[uú]ltim[oa] (?:inicio|acceso|login)"
    r"|[uú]ltimo acesso|bem-vindo|ultimo accesso|benvenut|welkom|laatste login|välkommen|velkommen|tervetuloa|witamy"
    r"|последний вход|добро пожаловать|上次登[录錄陆]|最后登[录錄陆]|登[录錄陆入]成功"
    r"|欢迎|歡迎|前回のログイン|最終ログイン|ようこそ|마지막 로그인",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a line, printed behind a secret, refuses it."""
    return _REFUSED.search(text[:512]) is not None


def is_welcome(text: str) -> bool:
    """Whether a line, printed behind a secret, accepts it."""
    return _ACCEPTED.search(text[:512]) is not None


_ENABLE = re.compile(r"en(?:a(?:b(?:le?)?)?)?(?:\s+\d+)?")
_SUPER = re.compile(r"super(?:\s+\d+)?")
_SU = re.compile(r"su(?:\s+-\S*)*(?:\s+(?P<name>[^\s-]\S*))?(?:\s.*)?")
_OWN = re.compile(r"(?:sudo|doas)\s.+|passwd")
_PASSWD = re.compile(r"passwd\s+(?P<name>[^\s-]\S*)")


def asks_for(command: str, account: str) -> str | None:
    """Whose secret a command asks for: the name of the privilege, another account, or the own; None for no secret."""
    command = command.strip()
    if _ENABLE.fullmatch(command):
        return "enable"
    if _SUPER.fullmatch(command):
        return "super"
    if match := _SU.fullmatch(command):
        return match["name"] or "root"
    if match := _PASSWD.fullmatch(command):
        return match["name"]
    return account if _OWN.fullmatch(command) else None
