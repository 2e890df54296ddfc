"""Questions and answers of servers. Truth: what a person who reads them understands, written down by hand."""

from __future__ import annotations

import pytest

from spanline.plaintext.prompts import Asked, Question, asks_for, is_refusal, is_welcome, question

ACCOUNTS = [
    "login: ", "Login:", "host login: ", "(none) login: ", "Please login:", "login as: ", "Login name: ", "logon: ",
    "Username: ", "USERNAME:", "UserName:", "User Name : ", "User name: ", "User: ", "user id: ", "Enter username> ",
    "Please Enter Login Name: ", "Account: ", "Username(1-32 chars):", "Benutzername: ", "Benutzer: ",
    "Anmeldename: ", "Anmeldung: ", "Benutzerkennung: ", "Identifiant : ", "Nom d'utilisateur : ", "Utilisateur:",
    "Usuario: ", "Nombre de usuario: ", "Utente: ", "Nome utente: ", "Usuário: ", "Nome de usuário: ", "Utilizador: ",
    "Gebruikersnaam: ", "Användarnamn: ", "Brugernavn: ", "Brukernavn: ", "Käyttäjätunnus: ", "Nazwa użytkownika: ",
    "Użytkownik: ", "Uživatelské jméno: ", "Felhasználónév: ", "Utilizator: ", "Kullanıcı adı: ", "Логин: ",
    "Имя пользователя: ", "Введите логин: ", "Ім'я користувача: ", "Потребител: ", "Όνομα χρήστη: ", "用户名:",
    "用户名：",
    "请输入用户名: ", "登录名: ", "账号: ", "帳號: ", "使用者名稱: ", "ユーザー名: ", "ユーザ名: ", "ログイン: ",
    "사용자 이름: ",
    "로그인: ", "اسم المستخدم: ", "Tên đăng nhập: ", "Nama pengguna: ",
]  # fmt: skip
SECRETS = [
    "Password: ", "Password:", "password: ", "PassWord:", "Password : ", "Enter password: ", "Local password: ",
    "Password> ",
    "Passwd: ", "Passcode: ", "Enter PASSCODE: ", "Pass phrase: ", "PIN: ", "Passwort: ", "Kennwort: ",
    "Bitte Kennwort eingeben: ",
    "Mot de passe : ", "Contraseña: ", "Contrasena: ", "Clave: ", "Senha: ", "Palavra-passe: ", "Parola d'ordine: ",
    "Wachtwoord: ",
    "Lösenord: ", "Adgangskode: ", "Kodeord: ", "Passord: ", "Salasana: ", "Hasło: ", "Haslo: ", "Heslo: ",
    "Jelszó: ",
    "Parolă: ", "Şifre: ", "Пароль: ", "Парола: ", "Κωδικός: ", "密码:", "请输入密码：", "口令: ", "密碼: ",
    "パスワード: ", "パスワードを入力してください: ",
    "暗証番号: ", "비밀번호: ", "كلمة المرور: ", "סיסמה: ", "Mật khẩu: ", "Kata sandi: ",
]  # fmt: skip
NEW_SECRETS = [
    "New password: ", "Enter new password: ", "Retype new password: ", "Re-enter password: ", "Confirm password: ",
    "Verify password: ", "Neues Passwort: ", "Nouveau mot de passe : ", "Nueva contraseña: ", "新密码: ",
    "Новый пароль: ",
]  # fmt: skip
COMMANDS = [
    "$ ", "# ", "% ", "host% ", "> ", "alice@host:~$ ", "[root@host ~]# ", "bash-5.2$ ", "Router>", "Router#",
    "Router(config-if)#", "<Quidway>", "[H3C]", "[~HUAWEI]", "[admin@MikroTik] > ", "lab@mx80> ", "C:\\Users\\bob>",
    "ras> ",
    "{Administrator}=>", "FGT60D # ", "/ # ", "mysql> ", "D-Link DIR-600 -->", "➜  ~ ❯ ", "A:pe1# ", "*A:pe1# ",
]  # fmt: skip
CHOICES = [
    "Your choice: ",
    "Enter selection: ",
    "Select option [1-9]: ",
    "--More--",
    "TERM = (vt100) ",
    "Auswahl: ",
    "Press any key to continue",
]
OTHERS = [
    "Last login: Thu Dec  2 21:32:59", "Last login: ", "Name: ", "Continue? [y/n] ", "copying 50%",
    "Destination filename [startup-config]? ",
    "total 12", "users: 3", "The password is", "Vorname: ",
]  # fmt: skip


@pytest.mark.parametrize(("texts", "asked"), [
    (ACCOUNTS, Asked.ACCOUNT), (SECRETS, Asked.SECRET), (NEW_SECRETS, Asked.NEW_SECRET), (COMMANDS, Asked.COMMAND),
    (CHOICES, Asked.CHOICE), (OTHERS, Asked.OTHER),
])  # fmt: skip
def test_questions_are_understood(texts: list[str], asked: Asked) -> None:
    understood = {text: (question(text) or Question(Asked.OTHER)).asked for text in texts}
    assert understood == dict.fromkeys(texts, asked)


def test_nothing_asks_nothing() -> None:
    assert [question(text) for text in ("", "  ", "\t")] == [None] * 3


@pytest.mark.parametrize(("text", "account"), [
    ("[sudo] password for bob: ", "bob"), ("root's Password: ", "root"), ("carol@db's password: ", "carol@db"),
    ("Password for bob@EXAMPLE.COM: ", "bob@EXAMPLE.COM"), ("Password for user postgres: ", "postgres"),
    ("Passwort für anna: ", "anna"), ("Mot de passe de marie : ", "marie"), ("Password: ", ""),
])  # fmt: skip
def test_questions_say_whose_secret_it_is(text: str, account: str) -> None:
    asked = question(text)
    assert asked is not None
    assert (asked.asked, asked.account) == (Asked.SECRET, account)


REFUSALS = [
    "Login incorrect", "% Login invalid", "% Bad passwords", "% Bad secrets", "% Access denied",
    "% Authentication failed.",
    "%Error in authentication.", "Access denied", "Permission denied, please try again.", "Authentication failure",
    "Login failed!",
    "Login Failed", "Invalid login", "Invalid password", "Invalid username or password", "Incorrect password",
    "Password incorrect",
    "Bad Password!!!", "Wrong password", "Unknown user", "Error: Local authentication is rejected",
    "Error: Password incorrect.",
    "Error: The username or password is invalid.", "Login failed, incorrect username or password",
    "You entered an invalid login name or password.",
    "UX:login: ERROR: Login incorrect", "User authorization failure", "su: Authentication failure",
    "su: incorrect password",
    "Sorry, try again.", "Sorry.", "Logon failure: unknown user name or bad password.", "Too many login failures",
    "Account is locked",
    "Maximum number of tries exceeded", "Your account has been disabled", "Anmeldung fehlgeschlagen",
    "Falsches Passwort", "Kennwort ungültig",
    "Zugriff verweigert", "Mot de passe incorrect", "Échec de la connexion", "Accès refusé", "Contraseña incorrecta",
    "Acceso denegado",
    "Usuario o contraseña no válidos", "Senha inválida", "Acesso negado", "Password errata", "Accesso negato",
    "Wachtwoord onjuist",
    "Lösenord felaktigt", "Hasło nieprawidłowe", "Неверный пароль", "Ошибка входа", "Доступ запрещён",
    "登录失败", "用户名或密码错误", "认证失败", "密码错误", "ログインに失敗しました", "パスワードが違います",
    "로그인 실패",
]  # fmt: skip
WELCOMES = [
    "Last login: Mon Nov 20 10:00:00 UTC 2023 on pts/0", "Welcome to Ubuntu 22.04", "You have new mail.", "No mail.",
    "Have a lot of fun...",
    "BusyBox v1.19.4 built-in shell (ash)", "--- JUNOS 12.1 built",
    "Info: The current number of VTY users on line is 1.",
    "Login successful", "User admin logged in", "Access granted", "Linux server 6.1.0 #1 SMP",
    "Your password will expire in 3 days",
    "Letzte Anmeldung: Montag", "Willkommen", "Dernière connexion : lundi", "Bienvenue", "Último inicio de sesión",
    "Bienvenido",
    "Último acesso", "Ultimo accesso", "Benvenuto", "Последний вход", "上次登录时间", "登录成功", "欢迎",
    "前回のログイン",
]  # fmt: skip
NEITHER = [
    "", "a b c", "Unauthorized access is prohibited", "Access denied to those who are not authorized",
    "The programs included with Debian are free",
    "Cisco IOS Software", "Copyright (c) 1994 - 2010", "64 bytes from 10.0.0.1",
    "Unauthorised use may be prosecuted.",
]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "refused", "welcome"), [(REFUSALS, True, None), (WELCOMES, False, True), (NEITHER, False, False)]
)
def test_answers_are_understood(texts: list[str], refused: bool, welcome: bool | None) -> None:
    assert {text: is_refusal(text) for text in texts} == dict.fromkeys(texts, refused)
    if welcome is not None:
        assert {text: is_welcome(text) for text in texts} == dict.fromkeys(texts, welcome)


@pytest.mark.parametrize(("command", "whose"), [
    ("enable", "enable"), ("en", "enable"), ("ena 15", "enable"), ("super 3", "super"), ("su", "root"),
     ("su -", "root"),
    ("su - bob", "bob"), ("su bob -c id", "bob"), ("sudo id", "me"), ("doas sh", "me"), ("passwd", "me"),
     ("passwd bob", "bob"),
    ("ls", None), ("summary", None), ("entropy", None), ("sudo", None), ("", None),
])  # fmt: skip
def test_commands_ask_for_secrets(command: str, whose: str | None) -> None:
    assert asks_for(command, "me") == whose
