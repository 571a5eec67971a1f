import Logging
import MachineAPI
import Sealing

/// Who may run commands in this host's machines, and who hears of it.
struct ExecPolicy: Sendable {
    /// Whether anybody may; off unless an operator said otherwise.
    var isAllowed = false
    /// Where the row of each command goes before it runs.
    var audit: (any ExecAudit)?

    func check(_ caller: MachinesCaller) throws(MachineFailure) {
        guard isAllowed else {
            throw MachineFailure(
                .forbidden, "exec_off", "commands in machines are switched off on this host", hint: "berth down, then berth up with --exec")
        }
        guard caller.mayExec else {
            throw MachineFailure(
                .forbidden, "forbidden", "this caller may not run commands in machines",
                hint: "root on the unix socket may, and the token machines_exec_token of berth up --json")
        }
    }
}

extension MachineService {
    /// Runs a command in a started machine: its audit row first, then its event, then the command. Without a row it does not run.
    func run(_ command: ExecCommand, in machine: MachineRecord, by caller: MachinesCaller) async throws -> ExecResult {
        guard let boot = machine.boot, machine.state == .started else { throw Self.notStarted(machine.state.rawValue) }
        guard let audit = exec.audit else {
            throw MachineFailure(.unavailable, "audit_unavailable", "there is no audit log that the command could be written into")
        }
        let words = Self.kept(command.arguments)
        var event = MachineEvent(type: "exec", status: "started", source: caller.name, reason: nil, at: WallClock.milliseconds())
        event.request = .init(exec_event: .init(command: words))
        let entry = ExecEntry(app: machine.app, machine: machine.id, boot: boot.boot, by: caller.name, command: command.arguments)
        let begun = event
        do {
            let result = try await reconciler.host.runtime.exec(machine.id, boot: boot.boot, command) { [store] in
                // A seat is taken: what suspends or stops the machine from here on sees it, and what did before is seen here.
                let now = try await store.machine(machine.id)
                guard let now, now.state == .started, now.boot?.boot == boot.boot else {
                    throw Self.notStarted(now?.state.rawValue ?? "destroyed")
                }
                try await audit.record(entry)
                try await store.begin(begun, of: machine.id)
            }
            await tell(result, of: event)
            return result
        } catch let refusal as ExecRefusal {
            await tell("not_started", of: event)
            throw MachineFailure(refusal)
        } catch {
            await tell(error is CancellationError ? "cancelled" : "not_started", of: event)
            throw error
        }
    }

    private static func notStarted(_ state: String) -> MachineFailure {
        MachineFailure(
            .preconditionFailed, "failed_precondition", "failed_precondition: unable to exec in machine from current state: '\(state)'",
            hint: "start it first")
    }

    private func tell(_ result: ExecResult, of event: MachineEvent) async {
        await tell(result.ending.rawValue, of: event) { exec in
            exec.exit_code = result.exitCode
            exec.exit_signal = result.signal
            exec.milliseconds = result.milliseconds
        }
    }

    /// Also when the request was cancelled meanwhile. An event that was never begun is not there to be changed.
    private func tell(_ ending: String, of event: MachineEvent, _ body: (inout MachineEvent.Exec) -> Void = { _ in }) async {
        guard var exec = event.request?.exec_event else { return }
        exec.ended = ending
        body(&exec)
        let request = MachineEvent.Request(exec_event: exec)
        let reason = Self.words(exec)
        let logger = reconciler.host.logger
        await Task { [store] in
            do {
                try await store.finish(event: event.id, request: request, reason: reason)
            } catch {
                logger.error("the end of a command is not in its event", metadata: ["error": "\(error)"])
            }
        }.value
    }

    private static func words(_ exec: MachineEvent.Exec) -> String {
        let how =
            switch exec.ended {
            case "itself": (exec.exit_signal ?? 0) > 0 ? "ended by signal \(exec.exit_signal ?? 0)" : "exit code \(exec.exit_code ?? 0)"
            case "timeout": "ended when its time was over"
            case "cancelled": "ended: whoever asked for it had gone"
            default: "not started"
            }
        return "\(exec.command.first ?? ""): \(how)" + (exec.milliseconds.map { ", after \($0) ms" } ?? "")
    }

    /// What the event keeps of the words.
    private static func kept(_ words: [String]) -> [String] {
        var left = 4_096
        var kept: [String] = []
        for word in words {
            guard left > 0 else { return kept + ["…"] }
            let bytes = word.utf8.prefix(left)
            kept.append(String(decoding: bytes, as: UTF8.self))
            left -= bytes.count + 1
        }
        return kept
    }
}

extension MachineFailure {
    init(_ refusal: ExecRefusal) {
        switch refusal {
        case .tooMany(let count, let inMachine):
            self.init(
                .unavailable, "too_many_execs", "\(count) commands run in \(inMachine ? "this machine" : "machines of this host") already",
                hint: "wait until one has ended")
            retryAfterSeconds = 1
        case .noUser:
            self.init(
                .unavailable, "no_user", "commands that ended left processes that do not, for every user there is", hint: "restart the machine")
        case .ending:
            self.init(.preconditionFailed, "failed_precondition", "failed_precondition: the machine is about to end")
        case .runtime(let path):
            self.init(
                .notImplemented, "not_implemented", "commands run in machines of crun and runc, not in those of \(path)", details: ["part": "exec"])
        case .notStarted(let words):
            self.init(
                .invalid, "not_started", "the command did not start: \(words)", field: "command",
                hint: "its programs are those of the machine's image; Berth's base system has python3 and no shell")
        }
    }
}
