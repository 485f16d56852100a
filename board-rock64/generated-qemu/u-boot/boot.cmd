# Generated from board-rock64; change it there.
if test "x${atomix_slot}" = xA; then setenv atomix_root "atomixos.lowerdev=/dev/vda2 atomixos.lowerfstype=squashfs"; else setenv atomix_root "atomixos.lowerdev=/dev/vda4 atomixos.lowerfstype=squashfs"; fi
setenv bootargs "console=ttyAMA0 earlycon=pl011,0x9000000 loglevel=4 lsm=capability audit=0 nokaslr kpti=0 root=fstab rw init=/init gpt panic=5 ${atomix_root} ${atomix_args}"
setenv atomix_root
if load virtio 0:${atomix_part} 0x40400000 Image; then
if load virtio 0:${atomix_part} 0x40300000 dtbs/qemu-virt.dtb; then
if load virtio 0:${atomix_part} 0x48000000 initrd; then
booti 0x40400000 0x48000000:${filesize} 0x40300000
fi
fi
fi
echo atomix: cannot load or start the kernel of slot ${atomix_slot}
false
