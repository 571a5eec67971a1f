import JSONText
import StdioBridge

/// A call that its client gives up as soon as the server has it.
enum CancelCheck {
    static let id = "calls.cancel"

    static func run(_ bench: TestBench, _ call: SafeCall, _ modern: ModernCaller, _ report: inout Report) async {
        bench.progress("cancelling a call of \(call.tool)")
        let before = bench.traffic.messages.count
        let process = await bench.report(session: ModernCaller.session)?.pid
        let (sent, signal) = AsyncStream.makeStream(of: Void.self)
        // Before there is a call: on a busy host it could be seen by nobody.
        bench.traffic.watch { if $0.isSent, $0.method == "tools/call" { signal.finish() } }
        let work = Task {
            defer { signal.finish() }
            return await modern.request("tools/call", call.params)
        }
        for await _ in sent {}
        // On this revision the end of the connection is what cancels.
        work.cancel()
        _ = await work.value
        bench.traffic.watch(nil)
        let isOver = await bench.eventually(within: 2_000) { outcome(bench, before).map { $0.isCancelled || $0.answer != nil } ?? false }
        guard isOver, let seen = outcome(bench, before), seen.isCancelled else {
            return report.add(Finding(id, .skipped, "\(call.tool) answered before it could be cancelled: name a call that takes longer with --call"))
        }
        let (reply, _) = await modern.list("tools/list", "tools")
        let now = await bench.report(session: ModernCaller.session)?.pid
        guard reply.value != nil, now == process else {
            let why = reply.value == nil ? StartCheck.firstLine(reply.problem) : "its process ended"
            return report.add(
                Finding(
                    id, .failure, "it did not survive a cancelled call: \(why)",
                    remedy: "take notifications/cancelled for any call, also for one that has just ended", tool: call.tool))
        }
        let answered = outcome(bench, before)?.answer.map { !$0.isError } ?? false
        report.add(Finding(id, .pass, "it goes on after a cancelled call of \(call.tool)" + (answered ? ", which it answered all the same" : "")))
    }

    /// What the server was told, and said, of the call that was made after the first `count` messages.
    private static func outcome(_ bench: TestBench, _ count: Int) -> (isCancelled: Bool, answer: Traffic.Message?)? {
        let all = bench.traffic.messages.dropFirst(count)
        guard let start = all.firstIndex(where: { $0.isSent && $0.method == "tools/call" }) else { return nil }
        let request = all[start]
        let later = all[start...]
        let answer = later.firstIndex { !$0.isSent && $0.method == nil && $0.id == request.id && $0.process == request.process }
        let cancel = later.firstIndex { $0.isSent && $0.method == "notifications/cancelled" && $0.process == request.process }
        let isCancelled = cancel.map { cancel in answer.map { cancel < $0 } ?? true } ?? false
        return (isCancelled, answer.map { all[$0] })
    }
}
