"""An SMTP server that asks who is there and keeps nothing: python smtp_server.py ADDRESS ACCOUNT_FILE"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


async def serve(address: str, name: str, password: str) -> None:
    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        # `handled` would mean that the client has its answer.
        return AuthResult(success=data == LoginPassword(name.encode(), password.encode()), handled=False)

    def answer() -> SMTP:
        return SMTP(Sink(), authenticator=check, auth_require_tls=False)

    server = await asyncio.get_running_loop().create_server(answer, address, 25)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], *json.loads(Path(sys.argv[2]).read_text())))
