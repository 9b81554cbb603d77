"""What MiniStack does otherwise than API Gateway when a browser opens a WebSocket, as edits of its own functions.

The integration of $connect chooses one of the subprotocols that were offered, by its header `Sec-WebSocket-Protocol`
("Set up a $connect route that requires a WebSocket subprotocol"). MiniStack 1.5.33 leaves that out of its answer, and a
browser that offered some then closes the connection (RFC 6455, section 4.1). `infra.mended_ministack` applies this.
"""

from infra.resharding_edits import Edit

GATEWAY = "ministack.services.apigateway"

SOCKET_EDITS = (
    Edit(
        GATEWAY,
        "handle_websocket",
        "        authorizer_context = None\n        if connect_route",
        "        authorizer_context = resp = None\n        if connect_route",
    ),
    Edit(
        GATEWAY,
        "handle_websocket",
        '        await send({"type": "websocket.accept"})\n',
        '        told = {name.lower(): value for name, value in ((resp or {}).get("headers") or {}).items()}\n'
        '        await send({"type": "websocket.accept", "subprotocol": told.get("sec-websocket-protocol")})\n',
    ),
)
