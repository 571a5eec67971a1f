"""Runs what it is told: a session that does its worst with what it has."""
import fixture

memory = {}


@fixture.tool
def run(call, code=""):
    "Runs Python code; answers what it leaves in `answer`."
    memory["answer"] = None
    exec(code, memory)
    return memory["answer"]


fixture.Server().run()
