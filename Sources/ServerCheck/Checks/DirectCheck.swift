import JSONText
import MCP
import Standalone
import StdioBridge
import Wire

/// Whether clients that know the handshake alone can start the server themselves, without a bridge that translates.
enum DirectCheck {
    static let id = "handshake.legacy"

    static func run(_ bench: TestBench, _ bridges: ObservedBridges, _ client: HTTPClient, _ report: inout Report) async {
        // Without the other era, all that came before says it.
        guard report.era == "modern" else { return }
        bench.progress("talking to it as clients before \(ModernCaller.version) do")
        var limits = CheckRun.limits(bench.settings)
        limits.era = .legacy
        guard let bridge = try? await bridges.open(bench.settings.server, limits: limits, tap: { _ in }, log: { _ in }) else {
            return report.add(Finding(id, .skipped, "a second bridge could not be opened"))
        }
        let http = BridgeHTTP(client: client, port: bridge.port, seconds: bench.settings.seconds)
        let (caller, reply) = await LegacyCaller.open(http)
        let listed = await caller?.list("tools/list", "tools").reply
        let version = await bridge.reports().compactMap(\.version).first
        await CheckRun.close(bridge, bridges)
        guard listed?.value != nil else {
            let why = StartCheck.firstLine((listed ?? reply).problem)
            return report.add(
                Finding(
                    id, .note, "clients that know initialize alone cannot start it themselves: \(why)",
                    remedy: "answer initialize too (SDKs do both), or have such clients use a bridge"))
        }
        report.add(Finding(id, .pass, "it speaks \(version ?? "the handshake") too, to clients that start it themselves"))
    }
}
