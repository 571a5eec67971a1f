import HTTPTypes
import Hummingbird
import JSONText
import MachineAPI
import NIOCore

/// The images of this host: `GET /v1/berth/images`, `…/images/DIGEST` (a beginning of it will do), its `…/bill` and `…/lock`;
/// `POST /v1/berth/images/collect`, `{"dry_run": true}`.
struct ImageRoutes: Sendable {
    let shelf: ImageShelf

    private struct List: Encodable, Sendable { var images: [ImageReport] }

    private static let keys = BodyKeys(known: ["dry_run"])

    func add(to router: Router<MachinesContext>) {
        let images = router.group("v1/berth/images")
        images.get("") { _, _ in JSONAnswer(List(images: try await shelf.list())) }
        images.get(":image") { _, context in JSONAnswer(try await shelf.report(context.parameters.require("image"))) }
        images.get(":image/bill") { _, context in
            Self.bytes(try await shelf.bill(context.parameters.require("image")), "application/vnd.cyclonedx+json; version=1.6")
        }
        images.get(":image/lock") { _, context in
            Self.bytes(try await shelf.lock(context.parameters.require("image")), "text/plain; charset=utf-8")
        }
        images.post("collect") { request, context in
            try context.requireRoot()
            let buffer = try await request.body.collect(upTo: 1 << 16)
            let body = buffer.readableBytes == 0 ? JSONValue.object(JSONObject()) : try JSONCoding.value(Array(buffer: buffer))
            try Self.keys.check(body)
            if let value = body["dry_run"], value.boolValue == nil {
                throw MachineFailure(.badRequest, "invalid", "dry_run is true or false", field: "dry_run")
            }
            return JSONAnswer(try await shelf.collect(isTrial: body["dry_run"]?.boolValue == true))
        }
    }

    private static func bytes(_ bytes: [UInt8], _ type: String) -> Response {
        Response(status: .ok, headers: [.contentType: type, .cacheControl: "no-store"], body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
