"""A stateless server whose calls ask their client first, and which knows of that in its memory alone."""
import os
import uuid
import modern


class Asks(modern.Modern):
    states = {}

    def call(self, message, call):
        state = message["params"].get("requestState")
        if state is None:
            state = str(uuid.uuid4())
            self.states[state] = True
            params = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
            self.answer(call.id, {"resultType": "input_required", "requestState": state,
                                  "inputRequests": {"q": {"method": "elicitation/create", "params": params}}})
        elif self.states.pop(state, False):
            self.answer(call.id, {"content": [{"type": "text", "text": str(os.getpid())}]})
        else:
            self.refuse(call.id, -32602, "Invalid or expired requestState")


Asks().run()
