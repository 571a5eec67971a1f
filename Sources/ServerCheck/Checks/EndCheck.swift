import StdioBridge

/// The end of a session: its process should go when its input does, and nothing should stay.
enum EndCheck {
    /// How long each of closed input and TERM may take here before TERM and KILL: a busy host must not make a slow server a stubborn one.
    static let rung = 5_000
    /// And how long elsewhere.
    private static let usual = 2_000

    static func run(_ bench: TestBench, _ first: StartCheck.First, _ report: inout Report) async {
        bench.progress("ending its session")
        let process = first.process
        guard process > 0, TestBench.isAlive(process) else {
            for id in ["end.input", "end.children"] { report.add(Finding(id, .skipped, "the first session's process had ended before")) }
            return
        }
        let start = ContinuousClock.now
        await first.caller.end()
        let isGone = await bench.eventually(within: 4 * rung) { !TestBench.isAlive(process) }
        let milliseconds = TestBench.milliseconds(since: start)
        let left = bench.traffic.leftBehind(by: process)
        // What was left kept the end of the process itself from being seen at once.
        let own = left.isEmpty ? milliseconds : max(0, milliseconds - 300)
        report.add([input(isGone ? own : nil, waited: milliseconds), children(left)])
    }

    /// - Parameters:
    ///   - milliseconds: how long it took to end; nil while it has not.
    ///   - waited: how long that was waited for.
    static func input(_ milliseconds: Int?, waited: Int) -> Finding {
        let remedy = "end when reading standard input gives its end: a client that crashes sends no signal"
        guard let milliseconds else {
            return Finding("end.input", .failure, "its process is still there \(ReportText.seconds(waited)) after its end", remedy: remedy)
        }
        if milliseconds >= 2 * rung {
            return Finding("end.input", .failure, "it ignores the end of its input and SIGTERM, and had to be killed", remedy: remedy)
        }
        if milliseconds >= rung {
            return Finding("end.input", .failure, "it ignores the end of its input, and ended by SIGTERM after \(rung / 1_000) s", remedy: remedy)
        }
        let ended = "it ended \(ReportText.seconds(milliseconds)) after its input"
        guard milliseconds >= usual else { return Finding("end.input", .pass, ended) }
        return Finding(
            "end.input", .warning, ended + ", and bridges send SIGTERM after 2 s",
            remedy: "finish what cannot be lost first, and wait for nothing else")
    }

    static func children(_ left: [LeftProcess]) -> Finding {
        guard !left.isEmpty else { return Finding("end.children", .pass, "it left no process behind") }
        return Finding(
            "end.children", .failure, "it left \(left.count == 1 ? "a process" : "\(left.count) processes") behind: \(names(left))",
            remedy: remedyForLeft)
    }

    private static let remedyForLeft = "end and wait for what you start, also when only your input ends"

    /// What lives on when the test has done all it can.
    static func unended(_ left: [LeftProcess]) -> Finding {
        Finding("end.children", .failure, "what it left behind cannot be killed and still runs: \(names(left))", remedy: remedyForLeft)
    }

    private static func names(_ left: [LeftProcess]) -> String {
        DescriptionRules.listed(left.map { $0.command.isEmpty ? "process \($0.pid)" : "'\($0.command)'" })
    }
}
