import Hummingbird
import MachineAPI
import NIOCore

/// What a machine wrote: `GET …/machines/ID/berth/logs`, with `follow=true` also what it writes from then on.
struct LogRoutes: Sendable {
    let orchestrator: MachineService

    func add(to router: Router<MachinesContext>) {
        let routes = MachineRoutes(orchestrator: orchestrator)
        router.group("v1").get("apps/:app/machines/:id/berth/logs") { request, context in
            let machine = try await routes.machine(context)
            let query = request.uri.queryParameters
            let lines = query["tail"].flatMap { Int($0) } ?? 100
            guard (0...10_000).contains(lines), lines > 0 || query["follow"] == "true" else {
                throw MachineFailure(.badRequest, "invalid", "tail is 1 to 10000", field: "tail")
            }
            guard query["follow"] == "true" else {
                return Self.answer(.init(byteBuffer: ByteBuffer(string: try await orchestrator.logTail(machine.id, lines: lines))))
            }
            return try await follow(machine.id, lines: lines)
        }
    }

    /// Ends when the reader leaves, when the machine is destroyed, and when this process ends.
    private func follow(_ machine: String, lines: Int) async throws -> Response {
        guard let pieces = orchestrator.reconciler.host.runtime.followLog(machine, lines: lines) else {
            throw MachineFailure(
                .unavailable, "too_many_readers", "\(LogPipes.readers) readers follow logs of this host already", hint: "end one of them")
        }
        // Looked at behind the beginning: a machine that goes from here on ends the stream by itself.
        let isGone = try await orchestrator.store.machine(machine)?.state == .destroyed
        return Self.answer(
            .init { writer in
                if !isGone { for await piece in pieces { try await writer.write(ByteBuffer(bytes: piece)) } }
                try Task.checkCancellation()
                try await writer.finish(nil)
            })
    }

    private static func answer(_ body: ResponseBody) -> Response {
        Response(status: .ok, headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"], body: body)
    }
}
