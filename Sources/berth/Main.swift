import Hummingbird
import GRDB
import ArgumentParser
@main struct Main { static func main() { print("berth") } }
