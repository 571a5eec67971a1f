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
        guard reply.value != nil, tools.count == first.tools.count else {
            let why = reply.value == nil ? StartCheck.firstLine(reply.problem) : "it lists \(tools.count) tools instead of \(first.tools.count)"
            return report.add(
                Finding(
                    id, .failure, "after its process was killed the next one does not serve: \(why)",
                    remedy: "do not trust what a former process left (locks, sockets, half-written files): take it over or remove it at the start"))
        }
        report.add(Finding(id, .pass, "killed, \(told)the next process served after \(ReportText.seconds(milliseconds))"))
    }
}
