import Foundation

/// Programs of `Tests/Fixtures` in C, compiled for a test.
public enum CompiledFixture {
    /// Compiles `NAME.c` to `folder/NAME`.
    ///
    /// - Parameter flags: of the compiler's, `-static` for one.
    public static func make(_ name: String, _ flags: [String] = ["-static"], in folder: String, as output: String? = nil) async throws -> String {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = folder + "/" + (output ?? name)
        let built = try await Command.run(
            ["/usr/bin/gcc", "-O1", "-D_GNU_SOURCE", "-o", path, Repository.fixture(name + ".c")] + flags, seconds: 120)
        guard built.status == 0 else { throw CommandError(description: "gcc \(name).c: \(built.errors)") }
        return path
    }
}
