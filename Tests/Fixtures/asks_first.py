"""Asks on its terminal before it serves, and reads its client's first message as the answer."""
import fixture

input("Your name? ")
fixture.Server().run()
