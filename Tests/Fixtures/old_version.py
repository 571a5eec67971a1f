"""A server that chooses a revision which never was."""
import fixture


class Old(fixture.Server):
    versions = ["1999-01-01"]


Old().run()
