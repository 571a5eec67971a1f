import MachineAPI

/// The one tool that builds need beside Python, pinned by version and hash; `images/builder.lock` says the same for people.
struct BuilderPin: Codable, Equatable, Sendable {
    /// The project on the index.
    var project: String
    var version: String
    /// The wheel's file name.
    var file: String
    /// SHA-256 of the wheel.
    var sha256: String
    /// The program's path in the wheel.
    var member: String
    /// SHA-256 of the program, checked on the host whatever the build machine says.
    var memberSHA256: String

    static var current: BuilderPin {
        #if arch(arm64)
            BuilderPin(
                project: "uv", version: "0.13.9", file: "uv-0.13.9-py3-none-manylinux_2_28_aarch64.whl",
                sha256: "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375", member: "uv-0.13.9.data/scripts/uv",
                memberSHA256: "6109e47a75f2380d1cc90b00a6ee82b7b5792ddf66588625ec168545ae17512e")
        #else
            BuilderPin(
                project: "uv", version: "0.13.9", file: "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                sha256: "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19", member: "uv-0.13.9.data/scripts/uv",
                memberSHA256: "b73acdf73b96c3ac9e56d2fa933427b3ee6a901e3cce6ba1e3ecb3f91ca0d86a")
        #endif
    }
}
