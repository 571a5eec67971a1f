import Glibc
import MachineAgent

@main
struct Main {
    static func main() {
        exit(Agent.main(Array(CommandLine.arguments.dropFirst())))
    }
}
