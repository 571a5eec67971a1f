import MachineAPI
import Testing

@testable import Orchestrator

@Suite struct PythonWishTests {
    @Test(arguments: [
        ("3.11", true), ("3", true), ("3.12", false), ("2", false), ("==3.11", true), ("!=3.11", false), ("!=3", false), (">=3.10,<3.13", true),
        (">=3.12", false), (">=3.9", true), ("<3.11", false), ("<=3.11", true), ("<=3", true), (">3.10", true), (">3", false), (">3.11", false),
        ("~=3.10", true), ("~=3.12", false), ("<4", true), (" >= 3.10 , < 3.12 ", true), (">=3.10,!=3.11", false),
    ])
    func whatIsAskedForIsThereOrNot(_ text: String, _ isThere: Bool) throws {
        #expect(try PythonWish(text).allows("3.11") == isThere)
    }

    @Test(arguments: ["", " ", "3.11.4", "python3", "3.x", "3.", ".3", "=3.11", "===3.11", "3.11,", ">", "~=3", "٣", "99999", "3.11;x", "3 11", String(repeating: ">=3,", count: 9) + "3"])
    func whatIsNoVersionIsRefused(_ text: String) {
        let failure = #expect(throws: ImageBuildFailure.self) { try PythonWish(text) }
        #expect(failure?.error == "bad_python")
    }

    @Test func anotherPythonIsRefusedBeforeAnythingIsBuilt() async throws {
        let machine = ImagesMachine { try ImagesMachine.installed($0) }
        let fixture = try ImagesFixture(machine: machine)
        let failure = try #require(await fixture.build(ImageSource(pypi: "demo", python: "3.12")).outcome.failure)
        #expect(failure.error == "python_unavailable" && failure.message == "Python 3.12 is asked for, and images of this host have Python 3.11 alone.")
        #expect(failure.hint?.contains("--oci") == true && machine.jobs.isEmpty && machine.looks.isEmpty && fixture.parts.made == 1)
        #expect(try await fixture.build(ImageSource(pypi: "demo", python: "new")).outcome.failure?.error == "bad_python")
        #expect(try await fixture.build(ImageSource(pypi: "demo", python: ">=3.10")).outcome.built != nil)
    }
}
