import Glibc
import JSONText
import StdioBridge

/// A process that is killed, in the middle of a call where one may be made, and the one that takes its place.
enum DeathCheck {
    static let id = "calls.death"

    static func run(_ bench: TestBench, _ first: StartCheck.First, _ call: SafeCall?, _ modern: ModernCaller, _ report: inout Report) async {
        bench.progress("killing its process")
        // One that serves this session, whatever came before.
        _ = await modern.list("tools/list", "tools")
        guard let process = await bench.report(session: ModernCaller.session)?.pid else {
            return report.add(Finding(id, .skipped, "no process of it was there to be killed"))
        }
        var told = ""
        if let call {
            bench.traffic.watch { if $0.isSent, $0.method == "tools/call", $0.process == process { kill(-process, SIGKILL) } }
            let start = ContinuousClock.now
            let reply = await modern.request("tools/call", call.params)
            bench.traffic.watch(nil)
            if reply.value == nil { told = "the call under way failed after \(ReportText.seconds(TestBench.milliseconds(since: start))), and " }
        } else {
            kill(-process, SIGKILL)
        }
        _ = await bench.eventually(within: 5_000) { !TestBench.isAlive(process) }
        let start = ContinuousClock.now
        let (reply, tools) = await modern.list("tools/list", "tools")
        let milliseconds = TestBench.milliseconds(since: start)
        let why = reply.value == nil ? StartCheck.firstLine(reply.problem) : nil
        report.add(next(problem: why, tools: tools.count, of: first.tools.count, after: milliseconds, told: told))
    }

    /// What the process did that took the killed one's place.
    ///
    /// - Parameters:
    ///   - problem: why it lists nothing; nil where it does.
    ///   - told: what became of a call under way, as a clause that goes on.
    static func next(problem: String?, tools: Int, of count: Int, after milliseconds: Int, told: String) -> Finding {
        guard let problem = problem ?? (tools == count ? nil : "it lists \(tools) tools instead of \(count)") else {
            return Finding(id, .pass, "killed, \(told)the next process served after \(ReportText.seconds(milliseconds))")
        }
        return Finding(
            id, .failure, "after its process was killed the next one does not serve: \(problem)",
            remedy: "do not trust what a former process left (locks, sockets, half-written files): take it over or remove it at the start")
    }
}
