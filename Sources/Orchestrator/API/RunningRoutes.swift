import Hummingbird
import JSONText
import MachineAPI
import NIOCore

/// How many machines of an app stay started, and which images its next machine may need: `GET` and `POST /v1/apps/APP/berth/running`,
/// `{"min": 2, "images": ["sha256:…"]}`; without `images` they stay as they were. And which apps have fewer machines: `GET /v1/berth/running`.
struct RunningRoutes: Sendable {
    let orchestrator: MachineService

    private struct Answer: Encodable, Sendable { var min: Int }

    private struct Short: Encodable, Sendable { var short: [RunningShortage] }

    private static let keys = BodyKeys(known: ["min", "images"])

    func add(to router: Router<MachinesContext>) {
        let routes = MachineRoutes(orchestrator: orchestrator)
        router.group("v1").get("berth/running") { _, _ in
            JSONAnswer(Short(short: try await orchestrator.reconciler.host.minimum.shortages(orchestrator.store)))
        }
        let path: RouterPath = "apps/:app/berth/running"
        router.group("v1").get(path) { _, context in
            JSONAnswer(Answer(min: try await orchestrator.store.minimum(of: try await routes.app(context).name)))
        }
        router.group("v1").post(path) { request, context in
            let app = try await routes.app(context)
            let body = try JSONCoding.value(try await routes.body(of: request))
            try Self.keys.check(body)
            guard let count = body["min"]?.intValue, (0...1_024).contains(count) else {
                throw MachineFailure(.badRequest, "invalid", "min is 0 to 1024", field: "min")
            }
            if let value = body["images"], !value.isNull {
                let images = (value.arrayValue ?? [.null]).map { $0.stringValue ?? "" }
                guard images.count <= MachineStore.mostKeptImages, images.allSatisfy({ Identifier.hex(ofDigest: $0) != nil }) else {
                    throw MachineFailure(
                        .badRequest, "invalid", "images is a list of up to \(MachineStore.mostKeptImages) digests, sha256:…", field: "images")
                }
                try await orchestrator.store.setKeptImages(of: app.name, images)
            }
            try await orchestrator.store.setMinimum(of: app.name, count)
            return JSONAnswer(Answer(min: count))
        }
    }
}
