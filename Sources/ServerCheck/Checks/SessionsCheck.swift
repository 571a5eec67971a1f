import StdioBridge


/// Two sessions beside each other, each with a process, and requests of the same ids at the same time.
enum SessionsCheck {
    static let id = "sessions.two"

    static func run(_ bench: TestBench, _ first: StartCheck.First, _ report: inout Report) async {
        bench.progress("opening a second session")
        let (caller, greeting) = await LegacyCaller.open(bench.http)
        guard let caller else { return report.add(refused(greeting)) }
        async let one = first.caller.list("tools/list", "tools")
        async let two = caller.list("tools/list", "tools")
        let (left, right) = await (one, two)
        let second = await bench.report(session: caller.session)
        await caller.end()
        guard left.reply.value != nil else {
            return report.add(
                Finding(
                    id, .failure, "the first session failed when a second one began: \(StartCheck.firstLine(left.reply.problem))",
                    remedy: "share nothing between processes: no fixed port, lock, socket or file"))
        }
        guard right.reply.value != nil else { return report.add(refused(right.reply)) }
        let apart = second?.pid != nil && second?.pid != first.process
        report.add(Finding(id, .pass, "two sessions at once" + (apart ? ", in two processes" : "")))
    }

    private static func refused(_ reply: Reply) -> Finding {
        Finding(
            id, .failure, "a second session beside the first fails: \(StartCheck.firstLine(reply.problem))",
            remedy: "each session has a process: take no fixed port and no lock, and keep files apart by process")
    }
}
