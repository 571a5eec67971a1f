import Hummingbird
import JSONText
import MachineAPI

/// Logins of registries, root's alone: `GET`, `PUT` (`{"registry", "user", "password"}`) and `DELETE …?registry=` of `/v1/berth/registries`.
struct RegistryRoutes: Sendable {
    let store: MachineStore

    private struct Row: Encodable, Sendable { var registry: String; var user: String }
    private struct List: Encodable, Sendable { var registries: [Row] }
    private struct Removed: Encodable, Sendable { var removed: String }

    private static let keys = BodyKeys(known: ["registry", "user", "password"])

    func add(to router: Router<MachinesContext>) {
        let registries = router.group("v1/berth/registries")
        registries.get("") { _, context in
            try context.requireRoot()
            return JSONAnswer(List(registries: try await store.logins().map { Row(registry: $0.registry, user: $0.user) }))
        }
        registries.put("") { request, context in
            try context.requireRoot()
            let body = try JSONCoding.value(Array(buffer: try await request.body.collect(upTo: 64 << 10)))
            try Self.keys.check(body)
            let registry = try MachineStore.registry(body["registry"]?.stringValue ?? "")
            let login = RegistryLogin(user: body["user"]?.stringValue ?? "", password: body["password"]?.stringValue ?? "")
            try login.check()
            try await store.setLogin(login, of: registry)
            return JSONAnswer(Row(registry: registry, user: login.user))
        }
        registries.delete("") { request, context in
            try context.requireRoot()
            let registry = try MachineStore.registry(request.uri.queryParameters["registry"].map(String.init) ?? "")
            guard try await store.removeLogin(of: registry) else {
                throw MachineFailure(.notFound, "not_found", "there is no login of \(registry)", field: "registry", hint: "berth image login lists them")
            }
            return JSONAnswer(Removed(removed: registry))
        }
    }
}
