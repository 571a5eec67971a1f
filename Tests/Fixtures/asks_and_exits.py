"""A server that ends while its client is asked."""
import os
import fixture


@fixture.tool
def ask_and_exit(call, status=5):
    "Asks the client, and ends at once."
    call.server.send({"jsonrpc": "2.0", "id": "last", "method": "elicitation/create",
                      "params": {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}})
    os._exit(status)


fixture.Server().run()
