import JSONText
import MCP
import Standalone
import StdioBridge

/// From nothing to a list of tools: how long, how much memory, and what the server says of itself.
enum StartCheck {
    /// The first session, which lives until the end.
    struct First: Sendable {
        var caller: LegacyCaller
        var greeting: JSONValue
        var tools: [JSONValue]
        var process: Int32
        /// What the process had written to its standard error when it had listed its tools.
        var errorBytes: Int
    }

    private static let slow = 10_000
    private static let large = 256 << 20

    /// - Returns: Nil when there is nothing to test further.
    static func run(_ bench: TestBench, _ report: inout Report) async -> First? {
        bench.progress("starting the server")
        let start = ContinuousClock.now
        // Probed before a client of the handshake revisions comes, to whom a server of both eras shows only the one.
        let ready = await bench.http.ready()
        let milliseconds = TestBench.milliseconds(since: start)
        if case .silent = ready {
            report.add(failure(ready))
            return nil
        }
        let probed = await bench.bridge.reports().first
        let (caller, reply) = await LegacyCaller.open(bench.http)
        guard let caller, let greeting = reply.value else {
            report.add(failure(reply))
            return nil
        }
        report.startMilliseconds = milliseconds
        report.name = greeting["serverInfo"]?["name"]?.stringValue
        report.version = greeting["serverInfo"]?["version"]?.stringValue
        report.add(time(milliseconds))

        bench.progress("listing its tools")
        let (listed, tools) = await caller.list("tools/list", "tools")
        let child = await bench.report(session: caller.session)
        // A server of both eras speaks the handshake with this client, and has answered the probe as the other.
        let newest = probed?.era == Era.modern.rawValue ? probed : child
        report.era = newest?.era
        report.protocolVersion = newest?.version
        guard listed.value != nil else {
            report.add(unlisted(listed, declares: greeting["capabilities"]?["tools"] != nil, bridge: bench.settings.bridge))
            return nil
        }
        report.tools = tools.count
        let tree = child?.pid.map { ProcessTable.tree(of: $0) } ?? []
        let bytes = tree.compactMap(ProcessTable.residentBytes).reduce(0, +)
        if bytes > 0 { report.residentBytes = bytes }
        report.add(memory(bytes, processes: tree.count))
        let asked = bench.traffic.lastExchange("server/discover")
        report.add(probe(starts: max(probed?.starts ?? 1, child?.starts ?? 1), isUnanswered: asked.map { $0.answer == nil } ?? false))
        return First(caller: caller, greeting: greeting, tools: tools, process: child?.pid ?? 0, errorBytes: child?.stderrBytes ?? 0)
    }

    /// How long it took to answer the handshake.
    static func time(_ milliseconds: Int) -> Finding {
        let took = "it answered the handshake \(ReportText.seconds(milliseconds)) after its start"
        guard milliseconds >= slow else { return Finding("start.time", .pass, took) }
        return Finding(
            "start.time", .warning, took + ", and some clients wait 10 s", remedy: "import and connect at the first call, not at the start")
    }

    /// Clients of both eras ask for `server/discover` first, and bridges do.
    static func probe(starts: Int, isUnanswered: Bool) -> Finding {
        let remedy = "answer an unknown method with error -32601; current SDKs do"
        if starts > 1 {
            return Finding(
                "start.probe", .warning, "it ended when it was asked for server/discover before initialize, and had to be started twice",
                remedy: remedy)
        }
        if isUnanswered {
            return Finding(
                "start.probe", .warning, "it does not answer server/discover before initialize, which made its start 5 s longer", remedy: remedy)
        }
        return Finding("start.probe", .pass, "it answers server/discover before initialize, as modern clients ask it")
    }

    static func unlisted(_ listed: Reply, declares: Bool, bridge: String) -> Finding {
        let remedy =
            if case .silent = listed {
                "answer it, or give --timeout more seconds"
            } else if listed.problem.contains("exited with status") || listed.problem.contains("was killed by") {
                "find out on which message it ends: \(bridge) --trace shows them"
            } else if declares {
                "answer tools/list, or do not declare the tools capability"
            } else {
                "a gateway has nothing to offer of a server without tools"
            }
        return Finding("tools.list", .failure, "tools/list failed: \(firstLine(listed.problem))", remedy: remedy)
    }

    /// - Parameter bytes: of all its processes; 0 where none could be looked at.
    static func memory(_ bytes: Int, processes: Int) -> Finding {
        guard bytes > 0 else { return Finding("start.memory", .skipped, "its process could not be looked at") }
        let what = "\(ReportText.megabytes(bytes)) of memory with its tools listed" + (processes > 1 ? ", in \(processes) processes" : "")
        guard bytes > large else { return Finding("start.memory", .pass, what) }
        return Finding(
            "start.memory", .warning, what + ": more than the 256 MB of a usual machine, and each session has a process",
            remedy: "load less at the start, or have the connector's memory raised")
    }

    /// Why there is no server, with its own last words.
    static func failure(_ reply: Reply) -> Finding {
        let text = "it did not start: " + LastWords.line(of: reply.problem)
        let remedy =
            if !reply.problem.contains("\n") {
                "run the command yourself: it must answer initialize on standard output, and say on standard error what it lacks"
            } else {
                "mend what it says: it has no variables but those of --env and --env-file, and an import error is often a dependency that is not "
                    + "pinned (mcp 2.x broke servers written for 1.x)"
            }
        return Finding("start.handshake", .failure, text, remedy: remedy)
    }

    static func firstLine(_ text: String) -> String { text.split(separator: "\n").first.map(String.init) ?? text }
}
