import JSONText
import Standalone
import Wire

/// Whether the server starts and lists its tools before anybody has given it anything: gateways ask then, and keep the answer.
enum CredentialsCheck {
    static let id = "tools.credentials"

    static func run(_ bench: TestBench, _ tools: [JSONValue], _ bridges: ObservedBridges, _ client: HTTPClient, _ report: inout Report) async {
        guard let environment = bench.settings.bareEnvironment else {
            return report.add(Finding(id, .pass, "it starts and lists its tools with nothing but PATH"))
        }
        bench.progress("starting it without what you gave it")
        var server = bench.settings.server
        server.environment = environment
        guard let bridge = try? await bridges.open(server, limits: CheckRun.limits(bench.settings), tap: { _ in }, log: { _ in }) else {
            return report.add(Finding(id, .skipped, "a second bridge could not be opened"))
        }
        let http = BridgeHTTP(client: client, port: bridge.port, seconds: bench.settings.seconds)
        let (caller, reply) = await LegacyCaller.open(http)
        let listed = await caller?.list("tools/list", "tools")
        await CheckRun.close(bridge, bridges)
        let remedy = "take credentials at the first call, and answer it with an error that says what is missing"
        guard let listed, listed.reply.value != nil else {
            let why = StartCheck.firstLine((listed?.reply ?? reply).problem)
            return report.add(Finding(id, .warning, "without its environment it does not list its tools: \(why)", remedy: remedy))
        }
        let same = listed.items.compactMap { $0["name"]?.stringValue } == tools.compactMap { $0["name"]?.stringValue }
        report.add(
            same
                ? Finding(id, .pass, "it starts and lists the same tools without its environment")
                : Finding(id, .warning, "without its environment it lists \(listed.items.count) tools instead of \(tools.count)", remedy: remedy))
    }
}
