import Hummingbird
import MachineAPI

extension MachineRoutes {
    /// `POST …/exec`
    func addExec(to v1: RouterGroup<MachinesContext>) {
        v1.post("apps/:app/machines/:id/exec") { request, context in
            try orchestrator.exec.check(context.caller)
            let wanted = try ExecRequest(try await body(of: request))
            let machine = try await changeable(request, context)
            return JSONAnswer(ExecAnswer(try await orchestrator.run(wanted.command, in: machine, by: context.caller)))
        }
    }
}

/// As Fly's clients read it, with what Berth adds under `berth`.
struct ExecAnswer: Encodable, Sendable {
    struct Own: Encodable, Sendable {
        /// `itself` or `timeout`.
        var ended: String
        var milliseconds: Int
        /// Bytes that were not kept.
        var stdout_cut: Int?
        var stderr_cut: Int?
        var oom_killed: Bool?
    }

    var exit_code: Int
    var exit_signal: Int
    var stdout: String
    var stderr: String
    var berth: Own

    init(_ result: ExecResult) {
        exit_code = result.exitCode
        exit_signal = result.signal
        stdout = Self.text(result.output)
        stderr = Self.text(result.errors)
        berth = Own(
            ended: result.ending.rawValue, milliseconds: result.milliseconds, stdout_cut: result.output.cut > 0 ? result.output.cut : nil,
            stderr_cut: result.errors.cut > 0 ? result.errors.cut : nil, oom_killed: result.outOfMemory ? true : nil)
    }

    /// What is no UTF-8 is replaced, and the end says where something is missing.
    private static func text(_ output: ExecResult.Output) -> String {
        let text = String(decoding: output.bytes, as: UTF8.self)
        return output.cut == 0 ? text : text + "\n[cut: \(output.cut) bytes more]\n"
    }
}
