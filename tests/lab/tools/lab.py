"""What the lab's tools share: its settings, mail, sign-in pages, XOAUTH2. Python 3, standard library only."""
import base64, email.message, email.utils, hashlib, html, http.client, http.cookies, json, os, re, secrets, socket, ssl, sys, time, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))


def settings():
    """The KEY=VALUE file that `tests/lab/up` writes; MOTION_LAB names another lab's."""
    path = os.environ.get("MOTION_LAB") or os.path.join(HERE, "..", "state", "env")
    try:
        with open(path, encoding="utf-8") as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line and not line.startswith("#"))
    except OSError as e:
        sys.exit(f"cannot read the lab's settings {path}: {e.strerror}. Start the lab with tests/lab/up, or name its state/env in MOTION_LAB.")


E = settings()
HOST = E["LAB_HOST"]
TLS = ssl.create_default_context(cafile=E["CA_FILE"])
SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access openid profile email"


class Browser:
    """Cookies and one request at a time; redirects are left to the caller."""

    def __init__(self):
        self.jar = {}

    def request(self, method, url, form=None, headers=None):
        u = urllib.parse.urlsplit(url)
        if u.hostname not in ("127.0.0.1", "localhost"):
            raise RuntimeError(f"the lab's browser goes to this machine only, not to {u.hostname}")
        if u.scheme == "https":
            c = http.client.HTTPSConnection(u.hostname, u.port, context=TLS, timeout=30)
        else:
            c = http.client.HTTPConnection(u.hostname, u.port, timeout=30)
        path = (u.path or "/") + ("?" + u.query if u.query else "")
        headers = dict(headers or {})
        cookies = "; ".join(f"{k}={v}" for (site, k), (v, p) in self.jar.items() if site == u.netloc and path.startswith(p))
        if cookies:
            headers["Cookie"] = cookies
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        c.request(method, path, body, headers)
        r = c.getresponse()
        data = r.read().decode("utf-8", "replace")
        for line in r.headers.get_all("Set-Cookie") or []:
            for k, m in http.cookies.SimpleCookie(line).items():
                if m.value:
                    self.jar[(u.netloc, k)] = (m.value, m["path"] or "/")
                else:
                    self.jar.pop((u.netloc, k), None)
        c.close()
        return r.status, r.headers, data


def sign_in(url, user, deny=False):
    """Walks the provider's login and consent pages as a person would. Returns the callback's URL, not yet opened."""
    browser, method, form = Browser(), "GET", None
    provider = urllib.parse.urlsplit(url).netloc
    for _ in range(20):
        status, headers, data = browser.request(method, url, form)
        method, form = "GET", None
        if location := headers.get("Location"):
            url = urllib.parse.urljoin(url, location)
            if urllib.parse.urlsplit(url).netloc != provider:
                return url
            continue
        action = re.search(r'<form[^>]*action="([^"]+)"[^>]*method="post"', data)
        if not action:
            raise RuntimeError(f"the provider answered {status} without a form: {data[:400]}")
        prompt = re.search(r'name="prompt" value="([a-z_]+)"', data)[1]
        if deny and (abort := re.search(r'href="([^"]+/abort)"', data)):
            url = urllib.parse.urljoin(url, html.unescape(abort[1]))
            continue
        url, method, form = urllib.parse.urljoin(url, html.unescape(action[1])), "POST", {"prompt": prompt}
        if prompt == "login":
            form |= {"login": user, "password": "any"}
    raise RuntimeError("the provider redirects in circles")


def sign_in_device(url, code, user):
    """Types a device code at the provider's page and walks the pages behind it. Returns the words of the last one."""
    browser, method, form = Browser(), "GET", None
    for _ in range(20):
        status, headers, data = browser.request(method, url, form)
        method, form = "GET", None
        if location := headers.get("Location"):
            url = urllib.parse.urljoin(url, location)
            continue
        action = re.search(r'<form[^>]*?(?:action="([^"]+)"[^>]*method="post"|method="post"[^>]*action="([^"]+)")', data)
        if not action:
            if status != 200:
                raise RuntimeError(f"the provider answered {status}: {data[:400]}")
            return " ".join(re.sub(r"(?s)<(style|script|head)\b.*?</\1>|<[^>]+>", " ", data).split())
        url, method = urllib.parse.urljoin(url, html.unescape(action[1] or action[2])), "POST"
        form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', data))
        if prompt := re.search(r'name="prompt" value="([a-z_]+)"', data):
            form["prompt"] = prompt[1]
            if prompt[1] == "login":
                form |= {"login": user, "password": "any"}
        else:
            form |= {"user_code": code}
            if "op.deviceConfirmForm" in data:
                form |= {"confirm": "yes"}
    raise RuntimeError("the provider redirects in circles")


def authorize_url(client="CLIENT", scope=SCOPE, redirect=None):
    """An authorize URL of our own, for tokens without the daemon. Returns (url, verifier, redirect)."""
    redirect = redirect or "http://127.0.0.1:1" + E["CALLBACK_PATH"]
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    q = dict(client_id=E[f"{client}_ID"], response_type="code", redirect_uri=redirect, scope=scope, state=secrets.token_urlsafe(8),
             code_challenge=challenge, code_challenge_method="S256")
    return f"{E['AUTHORITY']}/{E['TENANT']}/oauth2/v2.0/authorize?" + urllib.parse.urlencode(q), verifier, redirect


def token(form, client="CLIENT", secret=None, tenant=None):
    form = dict(form, client_id=E.get(f"{client}_ID", client))
    form["client_secret"] = secret or E.get(f"{client}_SECRET", "")
    status, _, data = Browser().request("POST", f"{E['AUTHORITY']}/{tenant or E['TENANT']}/oauth2/v2.0/token", form)
    return status, json.loads(data)


def tokens(user, client="CLIENT", scope=SCOPE):
    """Signs a user in and returns the token endpoint's answer."""
    url, verifier, redirect = authorize_url(client, scope)
    q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(sign_in(url, user)).query))
    if "code" not in q:
        raise RuntimeError(f"no code: {q}")
    status, answer = token(dict(grant_type="authorization_code", code=q["code"], redirect_uri=redirect, code_verifier=verifier), client)
    if status != 200:
        raise RuntimeError(f"token endpoint: {status} {answer}")
    return answer


def control(path, method="POST", body=None):
    """The provider's /lab/... endpoints."""
    c = http.client.HTTPConnection(HOST, int(E["OIDC_HTTP_PORT"]), timeout=10)
    c.request(method, "/lab/" + path, body)
    r = c.getresponse()
    return r.status, json.loads(r.read() or b"null")


def xoauth2(user, access_token):
    return f"user={user}\x01auth=Bearer {access_token}\x01\x01"


def sample(to, sender, subject, text, message_id=None, headers=None):
    """One plain RFC 5322 message."""
    m = email.message.EmailMessage()
    m["From"], m["To"], m["Subject"] = sender, to, subject
    m["Date"] = email.utils.formatdate(time.time(), localtime=False)
    m["Message-ID"] = message_id or f"<{secrets.token_hex(12)}@sender.example>"
    for k, v in (headers or {}).items():
        m[k] = v
    m.set_content(text)
    return m


class Lmtp:
    """One LMTP connection to Dovecot."""

    def __init__(self):
        self.s = socket.create_connection((HOST, int(E["LMTP_PORT"])), 30)
        self.f = self.s.makefile("rb")
        self.reply()
        self.command("LHLO lab.test")

    def reply(self):
        while True:
            line = self.f.readline().decode("utf-8", "replace")
            if not line:
                raise RuntimeError("LMTP: the connection ended")
            if line[3:4] != "-":
                break
        if line[0] not in "23":
            raise RuntimeError(f"LMTP: {line.strip()}")
        return line

    def command(self, line):
        self.s.sendall(line.encode() + b"\r\n")
        return self.reply()

    def deliver(self, mailbox, sender, raw):
        """Returns the Unix time of the server's answer to the message."""
        self.s.sendall(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{mailbox}>\r\nDATA\r\n".encode())
        for _ in range(3):
            self.reply()
        raw = re.sub(rb"\r?\n", b"\r\n", raw)
        self.s.sendall(re.sub(rb"(?m)^\.", b"..", raw) + (b"" if raw.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        self.reply()
        return time.time()

    def close(self):
        self.s.sendall(b"QUIT\r\n")
        self.s.close()
