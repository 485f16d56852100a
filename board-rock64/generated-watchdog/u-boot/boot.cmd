# Generated from board-rock64; change it there.
if test "x${atomix_slot}" = xA; then setenv atomix_root "atomixos.lowerdev=/dev/mmcblk1p2 atomixos.lowerfstype=squashfs"; else setenv atomix_root "atomixos.lowerdev=/dev/mmcblk1p4 atomixos.lowerfstype=squashfs"; fi
setenv bootargs "console=ttyS2,1500000 earlycon=uart8250,mmio32,0xff130000 loglevel=7 rootwait ramoops.mem_address=0x110000 ramoops.mem_size=0xf0000 ramoops.record_size=0x20000 ramoops.ecc=1 watchdog.handle_boot_enabled=1 watchdog.open_timeout=300 root=fstab rw init=/init gpt panic=5 ${atomix_root} ${atomix_args}"
setenv atomix_root
if load mmc 1:${atomix_part} 0x2080000 Image; then
if load mmc 1:${atomix_part} 0x1e00000 dtbs/rockchip/rk3328-rock64.dtb; then
if load mmc 1:${atomix_part} 0x8000000 initrd; then
booti 0x2080000 0x8000000:${filesize} 0x1e00000
fi
fi
fi
echo atomix: cannot load or start the kernel of slot ${atomix_slot}
false
