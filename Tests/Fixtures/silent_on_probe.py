"""Never answers a method it does not know."""
import fixture


class Silent(fixture.Server):
    def other(self, message):
        pass


Silent().run()
