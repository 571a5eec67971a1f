import MachineAPI
import Testing

@testable import Orchestrator

@Suite struct RegistryReferenceTests {
    private static let digest = "sha256:" + String(repeating: "a", count: 64)

    @Test(arguments: [
        ("registry.example/tools/server", "registry.example/tools/server:latest", "https://registry.example", "registry.example:443"),
        ("Registry.Example:5000/server:1.2_x-y", "registry.example:5000/server:1.2_x-y", "https://registry.example:5000", "registry.example:5000"),
        ("127.registry.example/a", "127.registry.example/a:latest", "https://127.registry.example", "127.registry.example:443"),
        ("localhost/server", "localhost/server:latest", "http://localhost", "localhost:80"),
        ("127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x", "http://127.0.0.1:5000", "127.0.0.1:5000"),
        ("r.example/a@" + digest, "r.example/a@" + digest, "https://r.example", "r.example:443"),
        ("r.example/a:tag@" + digest, "r.example/a@" + digest, "https://r.example", "r.example:443"),
    ])
    func aReferenceIsRead(_ given: String, _ text: String, _ base: String, _ destination: String) throws {
        let reference = try RegistryReference(given)
        #expect(reference.text == text && reference.base == base && reference.destination == destination)
    }

    @Test(arguments: [
        "", "server", "tools/server", "/server", "r.example/", "r.example/A", "r.example/-a", "r.example/a//b", "r.example/../a", "r.example/a:",
        "r.example/a:-x", "r.example/a@sha256:1", "r.example/a@md5:1", "r.example:0/a", "r.example:99999/a", "r.example:x/a", "user@r.example/a",
        "https://r.example/a", "r.example/a b", "r_.example/a", "[::1]:5000/a",
    ])
    func whatIsNoneIsRefused(_ given: String) {
        let failure = #expect(throws: ImageBuildFailure.self) { _ = try RegistryReference(given) }
        #expect(failure?.error == "bad_source")
    }
}
