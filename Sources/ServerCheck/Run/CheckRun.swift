import Glibc
public import JSONText
import NIOCore
import Standalone
import StdioBridge
import Wire

/// Runs a server through the real bridge, and says what a gateway will make of it.
public enum CheckRun {
    /// What one run gave.
    public struct Outcome: Sendable {
        public var report: Report
        /// As the server lists them; nil when it did not.
        public var tools: [JSONValue]?
    }

    /// The process must have no other children. Whatever happens, nothing that was started is left.
    ///
    /// - Parameter progress: hears what is being done, on any thread.
    /// - Throws: `CancellationError`, and what keeps a bridge from being opened at all.
    public static func run(_ settings: CheckSettings, progress: @escaping @Sendable (String) -> Void) async throws -> Outcome {
        let traffic = Traffic()
        let bridges = try ObservedBridges { traffic.left($0, $1) }
        let client = HTTPClient()
        var result: Result<Outcome, any Error>
        do {
            let bridge = try await bridges.open(settings.server, limits: limits(settings), tap: { traffic.take($0) }, log: { _ in })
            let http = BridgeHTTP(client: client, port: bridge.port, seconds: settings.seconds)
            let bench = TestBench(settings: settings, bridge: bridge, traffic: traffic, http: http, progress: progress)
            var outcome = Outcome(report: Report(command: settings.server.command, secrets: settings.server.secrets))
            await run(bench, &outcome)
            await close(bridge, bridges)
            if outcome.tools != nil, !Task.isCancelled { await DirectCheck.run(bench, bridges, client, &outcome.report) }
            if let tools = outcome.tools, !Task.isCancelled {
                await CredentialsCheck.run(bench, tools, bridges, client, &outcome.report)
            }
            try Task.checkCancellation()
            result = .success(outcome)
        } catch {
            result = .failure(error)
        }
        await client.shutdown()
        let left = await bridges.close()
        if !left.isEmpty, case .success(var outcome) = result {
            outcome.report.add(EndCheck.unended(left))
            result = .success(outcome)
        }
        return try result.get()
    }

    /// Whoever breaks off the test does not wait for a server that ignores its end: it gets a second, and TERM another one.
    static func close(_ bridge: ObservedBridge, _ bridges: ObservedBridges) async {
        await withTaskCancellationHandler {
            await bridge.close()
        } onCancel: {
            Task.detached {
                for number in [SIGTERM, SIGKILL] {
                    try? await Task.sleep(for: .seconds(1))
                    bridges.signalAll(number)
                }
            }
        }
    }

    static func limits(_ settings: CheckSettings) -> BridgeLimits {
        var limits = BridgeLimits()
        limits.start = .seconds(Int64(settings.seconds))
        limits.rung = .milliseconds(Int64(EndCheck.rung))
        return limits
    }

    private static func run(_ bench: TestBench, _ outcome: inout Outcome) async {
        guard let first = await StartCheck.run(bench, &outcome.report) else { return skipRest(&outcome.report) }
        outcome.tools = first.tools
        ToolsCheck.run(first.tools, bench.settings.baseline, &outcome.report)
        let modern = ModernCaller(bench.http)
        if !Task.isCancelled { await HandshakeCheck.run(bench, first, modern, &outcome.report) }
        if !Task.isCancelled { await SessionsCheck.run(bench, first, &outcome.report) }
        if !Task.isCancelled { await CallChecks.run(bench, first, modern, &outcome.report) }
        let children = await bench.bridge.reports()
        if !Task.isCancelled { await EndCheck.run(bench, first, &outcome.report) }
        // What a program prints into a pipe may come with its end alone.
        if !Task.isCancelled { OutputCheck.run(bench, first, children, &outcome.report) }
    }

    /// What needs a server that runs and lists its tools.
    private static func skipRest(_ report: inout Report) {
        let reason = report.findings.contains { $0.id == "tools.list" } ? "the server did not list its tools" : "the server did not start"
        for id in [
            "tools.list", "tools.credentials", "handshake.modern", "sessions.two", "calls.numbers", "calls.cancel", "calls.death", "output.stdout",
            "output.stderr", "end.input", "end.children",
        ] where !report.findings.contains(where: { $0.id == id }) { report.add(Finding(id, .skipped, reason)) }
    }
}
