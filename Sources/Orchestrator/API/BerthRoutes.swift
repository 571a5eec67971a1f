import FoundationEssentials
import Hummingbird
import MachineAPI
import NIOCore

/// Berth's own paths beside Fly's: images, uploads, the host's state.
struct BerthRoutes: Sendable {
    let orchestrator: MachineService

    func add(to router: Router<MachinesContext>) {
        let own = router.group("v1/berth")
        own.get("bootstrap") { _, context in
            try context.requireRoot()
            return JSONAnswer(try orchestrator.bootstrap())
        }
        own.post("images") { request, _ in try await build(request) }
        own.post("uploads") { request, context in
            try context.requireRoot()
            guard request.headers[.contentType]?.lowercased().hasPrefix("application/x-tar") ?? true else {
                throw MachineFailure(.invalid, "bad_upload", "the upload is no tar archive", field: "content-type", hint: "application/x-tar")
            }
            return JSONAnswer(UploadAnswer(digest: try await orchestrator.uploads.receive(request.body)))
        }
        own.get("doctor") { _, _ in JSONAnswer(await orchestrator.doctor()) }
        own.post("stop-all") { _, context in
            try context.requireRoot()
            return JSONAnswer(StopAllAnswer(stopped: await orchestrator.reconciler.stopAll()))
        }
    }

    /// One line per step, then one with the result; a client that goes away cancels the build.
    private func build(_ request: Request) async throws -> Response {
        let buffer = try await request.body.collect(upTo: MachinesDelegate.bodyLimit)
        let asked = try JSONCoding.decode(ImageBuildRequest.self, Array(buffer: buffer))
        let events = orchestrator.images.build(
            asked.source, anew: request.uri.queryParameters["anew"] == "true", accepting: asked.accept)
        return Response(
            status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"],
            body: .init { writer in
                for try await event in events {
                    var line = ByteBuffer(bytes: try JSONCoding.encode(BuildLine(event)))
                    line.writeInteger(UInt8(ascii: "\n"))
                    try await writer.write(line)
                }
                // The sequence of a cancelled reader ends as if it were done.
                try Task.checkCancellation()
                try await writer.finish(nil)
            })
    }
}

private struct UploadAnswer: Encodable, Sendable { var digest: String }
private struct StopAllAnswer: Encodable, Sendable { var stopped: Int }
